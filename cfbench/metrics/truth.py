"""Against the truth: what changed, where the renderer of a synthetic task knows every factor of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from cfbench.metrics.base import Direction, QueryMetric
from cfbench.metrics.sparsity import Sparsity
from cfbench.truth import Truth, factor_changes

if TYPE_CHECKING:
    from cfbench.batch import Batch

MOVED = 0.05
"""Share of its range by which a factor must move to count as changed."""


class _Truth(QueryMetric):
    family = "ground truth"
    direction: ClassVar[Direction] = "higher"
    bounds = (0.0, 1.0)
    needs = ("truth",)
    citation = "ours"

    @property
    def network(self) -> None:
        return None

    @property
    def truth(self) -> Truth:
        assert self.judges.truth is not None
        return self.judges.truth

    def shifts(self, batch: Batch) -> Tensor:
        """Change of each factor in shares of its range, ``[B, F]``."""
        return factor_changes(self.truth, batch.factors("queries"), batch.factors("counterfactuals")).double()

    def achieved(self, batch: Batch) -> Tensor:
        """Whether each counterfactual is truly of the target class; failed queries are not, on the CPU, ``[B]``."""
        return (self.truth.labels(batch.factors("counterfactuals")) == batch.targets.cpu()) & ~batch.failed.cpu()

    def asked(self) -> Tensor:
        """Which factors define the class, ``[F]``."""
        chosen = torch.zeros(len(self.truth.factors), dtype=torch.bool)
        chosen[list(self.truth.target_factors)] = True
        return chosen


class FactorSuccess(_Truth):
    """Share of queries whose counterfactual, read by the renderer, is truly of the target class.

    Rewards changing what defines the class. Fooled by nothing on rendered images; off them, the nearest rendering
    decides, so that a faint ghost of the right object may count. Any real image of the target class has it in full.
    """

    name = "factor_success"
    unit = "share of queries"
    subsets = ("all",)
    rate = True

    def values(self, batch: Batch) -> Tensor:
        return self.achieved(batch)


class NuisancePreservation(_Truth):
    """Share of the factors that do not define the class which stay as they were, within a twentieth of their range.

    Nothing counts where the counterfactual is not truly of the target class. Rewards leaving alone what was not asked
    for, in doing what was; divided by ``factor_success`` it is the share among the counterfactuals that succeed.
    Version 1 counted all, so that doing nothing scored 1. Fooled by factors that have little range to move in.
    """

    name = "nuisance_preservation"
    version = 2
    unit = "share of factors"

    def values(self, batch: Batch) -> Tensor:
        kept = (self.shifts(batch)[:, ~self.asked()] <= MOVED).double().mean(dim=1)
        return kept * self.achieved(batch)


class Selectivity(_Truth):
    """Share of all factor change that is in the factors which define the class; undefined where no factor changes.

    Rewards touching the class and nothing else. Fooled by a tiny change of the right factor that does not suffice.
    """

    name = "selectivity"
    unit = "share of change"

    def values(self, batch: Batch) -> Tensor:
        shifts = self.shifts(batch)
        return shifts[:, self.asked()].sum(dim=1) / shifts.sum(dim=1)


class TruthDistance(_Truth):
    """Mean absolute pixel difference to the renderer's own minimal counterfactual of the query.

    Rewards the one right answer. Fooled by doing nothing where the true change is small: read it beside
    ``factor_success``.
    """

    name = "truth_distance"
    direction = "lower"
    unit = "pixel value in [0, 1]"

    def values(self, batch: Batch) -> Tensor:
        return (batch.stored.double() - batch.truths.double()).abs().flatten(1).mean(1) / 255


class LocalisationIoU(_Truth):
    """Overlap (intersection over union) of the pixels changed by more than 10 levels with those that truly change.

    Rewards changing the right place. Fooled by the right place changed wrongly.
    """

    name = "localisation_iou"
    unit = "intersection over union"

    def values(self, batch: Batch) -> Tensor:
        true = (batch.truths.short() - batch.stored_queries.short()).abs().amax(dim=1) > Sparsity.THRESHOLD
        made = batch.levels.abs().amax(dim=1) > Sparsity.THRESHOLD
        shared, either = ((part).flatten(1).sum(1) for part in (true & made, true | made))
        return shared.double() / either


class DiscoveryRate(_Truth):
    """Share of the flips that move the confounding factor, on a task whose classifier may rely on one.

    Rewards showing that reliance; compare it with the reliance measured by intervention, see
    ``cfbench.discovery.clever_hans``. Fooled by changing everything. On a clean classifier, lower is right.
    """

    name = "discovery_rate"
    unit = "share of flips"
    subsets = ("flipped",)
    rate = True

    def blocked(self) -> str | None:
        if reason := super().blocked():
            return reason
        return "no factor is a confounder" if self.truth.confounder is None else None

    def values(self, batch: Batch) -> Tensor:
        return self.shifts(batch)[:, self.truth.confounder] > MOVED
