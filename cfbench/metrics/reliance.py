"""Can the explanations be relied on? From runs of the same method on altered queries, see :mod:`cfbench.protocols`."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from cfbench.collector import Collector
from cfbench.metrics.agreement import seen_by_oracles
from cfbench.metrics.base import Direction, QueryMetric, Scores
from cfbench.metrics.proximity import SSIM, ssim, unit_distance
from cfbench.metrics.realism import SplitFrechetDistance
from cfbench.record import Score

if TYPE_CHECKING:
    from cfbench.batch import Batch
    from cfbench.judges import Judges
    from cfbench.spaces import Space


KINDS = ("noise", "blur", "contrast", "jpeg")
"""Corruptions whose runs the protocol ``corruption`` makes."""


class _Reliance(QueryMetric):
    family = "stability"
    direction: ClassVar[Direction] = "lower"
    bounds = (0.0, 1.0)
    unit = "pixel value in [0, 1]"
    subsets = ("all",)


class Composition(_Reliance):
    """Mean absolute change of a query that is explained towards the class it already has.

    Rewards leaving alone what is right already. Fooled by a method that hands back any query it is unsure of.
    """

    name = "composition"
    protocol = "composition"
    citation = "composition; Monteiro et al., arXiv 2303.01274, as a null intervention on the class"

    def values(self, batch: Batch) -> Tensor:
        return batch.reruns["composition"].change.abs().flatten(1).mean(1)


class Reversibility(_Reliance):
    """Mean absolute distance of a query to its counterfactual explained back to the class the query had.

    Rewards changes that can be undone. Fooled by doing nothing.
    """

    name = "reversibility"
    protocol = "reversibility"
    citation = "reversibility; Monteiro et al., arXiv 2303.01274"

    def values(self, batch: Batch) -> Tensor:
        back = batch.reruns["reversibility"].stored.double()
        return (back - batch.stored_queries.double()).abs().flatten(1).mean(1) / 255


class Stability(_Reliance):
    """Change of the counterfactual over the change of its query, Euclidean, when faint uniform noise is added.

    The explainer's seed stays. Rewards explanations that hold for what looks the same. Fooled by constant answers;
    1 is what doing nothing scores.
    """

    name = "stability"
    protocol = "stability"
    bounds = (0.0, float("inf"))
    unit = "ratio"
    citation = "local Lipschitz estimate; Alvarez-Melis & Jaakkola, arXiv 1806.08049"

    def values(self, batch: Batch) -> Tensor:
        rerun = batch.reruns["stability"]
        moved, noise = (
            (after.double() - before.double()).flatten(1).square().sum(1).sqrt()
            for before, after in ((batch.stored, rerun.stored), (batch.stored_queries, rerun.stored_queries))
        )
        return moved / noise


class _Seeds(_Reliance):
    protocol = "seeds"

    def each(self, batch: Batch) -> list[Batch]:
        """The run and its repetitions with other seeds."""
        return [batch, *(rerun for name, rerun in batch.reruns.items() if name.startswith("seeds-"))]


class SeedVariance(_Seeds):
    """Mean absolute difference of the counterfactuals of one query under different seeds, over all pairs of seeds.

    Rewards answers that don't depend on chance. Fooled by any deterministic method, which scores 0; what a method fits
    while it prepares is the same for all seeds.
    """

    name = "seed_variance"
    citation = "ours"

    def values(self, batch: Batch) -> Tensor:
        pairs = itertools.combinations([each.stored.double() for each in self.each(batch)], 2)
        return torch.stack([(a - b).abs().flatten(1).mean(1) for a, b in pairs]).mean(0) / 255


class Diversity(_Seeds):
    """Mean feature distance between the valid counterfactuals of one query.

    They are those that the method hands in together (:meth:`cfbench.Method.also`), which takes no further run, or else
    those under different seeds. Only pairs count of which both flip the classifier to the target, all such pairs of a
    query alike; undefined where there is none. Rewards showing several ways to the target. Fooled by noise: read it
    beside realism and oracle agreement.
    """

    name = "diversity"
    direction = "higher"
    bounds = (0.0, 4.0)
    unit = "squared distance of unit vectors"
    needs = ("verdicts", "extractor", "stages")
    citation = "diversity; Mothilal et al., arXiv 1905.07697, in the features of the extractor"

    def lacks_runs(self) -> str | None:
        return None if self.judges.several else super().lacks_runs()

    def values(self, batch: Batch) -> Tensor:
        runs = [batch, *batch.further] if self.judges.several else self.each(batch)
        maps = [run.maps(self.judges.extractor, "counterfactuals") for run in runs]
        total, count = torch.zeros(len(batch.positions), dtype=torch.float64), torch.zeros(len(batch.positions))
        for a, b in itertools.combinations(range(len(runs)), 2):
            valid = (runs[a].flipped & runs[b].flipped).cpu()
            layers = [unit_distance(first, second) for first, second in zip(maps[a], maps[b], strict=True)]
            total += torch.where(valid, torch.stack(layers).mean(0).cpu(), 0.0)
            count += valid
        return total / count


class _Corruption(_Reliance):
    protocol = "corruption"
    unit = "difference of shares"
    direction: ClassVar[Direction] = "higher"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    citation = "test-time corruptions of Thiagarajan et al., arXiv 2109.14274; corruptions of arXiv 1903.12261"

    def __init__(self, judges: Judges) -> None:
        super().__init__(judges)
        self._sums: dict[str, float] = {}
        self._n = 0

    def corrupted(self, batch: Batch) -> dict[str, Batch]:
        """The runs on corrupted queries."""
        return {name: run for name, run in batch.reruns.items() if name.partition("-")[0] in KINDS}

    def values(self, batch: Batch) -> Tensor:
        each = {name: self.compared(run, batch).double().cpu() for name, run in self.corrupted(batch).items()}
        for name, values in each.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(values.sum())
        self._n += len(batch.positions)
        return torch.stack(list(each.values())).mean(0)

    @abstractmethod
    def compared(self, corrupted: Batch, clean: Batch) -> Tensor:
        """The figure of each query under one corruption, ``[B]``."""

    def compute(self) -> Scores:
        details = {name: total / self._n for name, total in self._sums.items()}
        return {subset: score.model_copy(update={"details": details}) for subset, score in super().compute().items()}


class CorruptionFlipChange(_Corruption):
    """Flip rate on corrupted queries minus that on clean ones, averaged over four corruptions at five severities.

    Rewards finding the target despite corruption. Fooled by adversarial noise, which flips whatever it is given.
    """

    name = "corruption_flip_change"
    needs = ("verdicts",)

    def compared(self, corrupted: Batch, clean: Batch) -> Tensor:
        return corrupted.flipped.double() - clean.flipped.double()


class CorruptionAgreementChange(_Corruption):
    """Oracle agreement on corrupted queries minus that on clean ones, averaged over four corruptions, five severities.

    Rewards staying convincing despite corruption. Fooled by a method that convinces no oracle to begin with.
    """

    name = "corruption_agreement_change"
    needs = ("oracle",)

    def compared(self, corrupted: Batch, clean: Batch) -> Tensor:
        after, before = (seen_by_oracles(run).double().mean(dim=1) for run in (corrupted, clean))
        return after - before


class CorruptionSimilarity(_Corruption):
    """SSIM of the corrupted query's counterfactual with the clean query's, averaged over corruptions and severities.

    Rewards the same answer despite corruption. Fooled by constant answers, and by doing nothing at low severities.
    """

    name = "corruption_similarity"
    unit = "SSIM"

    def blocked(self) -> str | None:
        return super().blocked() or SSIM(self.judges).blocked()

    def compared(self, corrupted: Batch, clean: Batch) -> Tensor:
        return ssim(corrupted.counterfactuals.double(), clean.counterfactuals.double())


class CorruptionRealismChange(SplitFrechetDistance):
    """``split_fd`` on corrupted queries minus that on clean ones, averaged over four corruptions, five severities.

    Rewards staying realistic despite corruption. Fooled by what fools ``split_fd``.
    """

    name = "corruption_realism_change"
    family = "stability"
    protocol = "corruption"
    bounds = (-float("inf"), float("inf"))
    citation = "test-time corruptions of Thiagarajan et al., arXiv 2109.14274"
    subsets = ("all",)

    def __init__(self, judges: Judges, space: Space) -> None:
        super().__init__(judges, space)
        self._corrupted: dict[str, Collector] = {}

    @classmethod
    def instances(cls, judges: Judges) -> list[Self]:
        return super().instances(judges)[:1]

    def update(self, batch: Batch) -> dict[str, Tensor]:
        for name, run in batch.reruns.items():
            if name.partition("-")[0] in KINDS:
                self._corrupted.setdefault(name, Collector(self.space, self.judges.num_classes)).update(run)
        return super().update(batch)

    def _score(self, subset: str) -> Score:
        skipped = sum(each.skipped for each in self._corrupted.values())
        if skipped:
            return self.blank(f"the features of {skipped} corrupted images in {self.space.name} are not finite")
        return super()._score(subset)

    def floor(self, subset: str) -> None:
        return None

    def figure(self, subset: str, left_out: Collection[int] = ()) -> float:
        clean = super().figure(subset, left_out)
        return float(np.mean([self.distance(each, subset, left_out) for each in self._corrupted.values()])) - clean
