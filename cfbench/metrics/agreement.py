"""Do others than the classifier see the target class?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from cfbench.metrics.base import Metric, QueryMetric, Scores
from cfbench.record import Score
from cfbench.stats import least_rate

if TYPE_CHECKING:
    from cfbench.batch import Batch
    from cfbench.judges import Judges


class _OracleShare(QueryMetric):
    family = "validity"
    unit = "share of (query, oracle) pairs"
    direction = "higher"
    bounds = (0.0, 1.0)
    needs: ClassVar[tuple[str, ...]] = ("oracle",)
    subsets = ("all",)
    rate = True


class OracleAgreement(_OracleShare):
    """Share of (query, oracle) pairs in which the oracle sees the target class, over independent classifiers.

    Rewards changes that mean something to others than the classifier explained. Fooled by changes that transfer
    between networks; the more different the oracles, the less.
    """

    name = "oracle_agreement"
    citation = "oracle score; Hvilshoj et al., arXiv 2111.00177, over several oracles (ours)"

    def values(self, batch: Batch) -> Tensor:
        return seen_by_oracles(batch).double().mean(dim=1)


class OracleAgreedFlip(_OracleShare):
    """Share of (query, oracle) pairs in which both the classifier and the oracle see the target class.

    The headline. Rewards a flip that others see too: adversarial noise has a high flip rate and a low value here.
    Fooled by attacks that transfer to every oracle, and by real images of the target class, which are far away.
    """

    name = "oracle_agreed_flip"
    needs = ("verdicts", "oracle")
    citation = "ours"

    def values(self, batch: Batch) -> Tensor:
        return (seen_by_oracles(batch) & batch.flipped[:, None]).double().mean(dim=1)


class OracleAgreementMin(Metric):
    """Oracle agreement with the oracle that agrees least.

    Rewards what every oracle sees, where the mean hides a change tuned to one architecture. Fooled by one weak
    oracle, which lowers it for every method: read it beside the oracles' clean accuracies.
    """

    name = "oracle_agreement_min"
    family = "validity"
    unit = "share of queries"
    direction = "higher"
    bounds = (0.0, 1.0)
    needs = ("oracle",)
    citation = "ours"
    subsets = ("all",)

    def __init__(self, judges: Judges) -> None:
        super().__init__(judges)
        self._counts = torch.zeros(len(judges.oracles), dtype=torch.int64)
        self._n = 0

    def update(self, batch: Batch) -> dict[str, Tensor]:
        self._counts += seen_by_oracles(batch).sum(dim=0).cpu()
        self._n += len(batch.positions)
        return {f"{name}_prediction": batch.prediction(name).cpu() for name in self.judges.oracles}

    def compute(self) -> Scores:
        least = int(self._counts.argmin())
        successes = int(self._counts[least])
        network = self.judges.identity(self.judges.oracles[least])
        interval = least_rate(self._counts.tolist(), self._n)
        value = successes / self._n
        return {"all": Score(value=value, ci95=interval, n=self._n, version=self.version, network=network)}


class LabelVariation(QueryMetric):
    """Jensen-Shannon divergence (natural logarithm) of the oracles' class distributions before and after, averaged.

    Rewards changes that alter what oracles see. Fooled by images that confuse oracles without looking like the
    target: read it beside oracle agreement.
    """

    name = "lvs"
    family = "validity"
    unit = "nats"
    direction = "higher"
    bounds = (0.0, 0.6931471805599453)
    needs = ("oracle",)
    citation = "label variation score; Hvilshoj et al., arXiv 2111.00177"

    def values(self, batch: Batch) -> Tensor:
        each = [
            jensen_shannon(batch.probabilities(name, "queries"), batch.probabilities(name))
            for name in self.judges.oracles
        ]
        return torch.stack(each).mean(dim=0)


def jensen_shannon(first: Tensor, second: Tensor) -> Tensor:
    """Jensen-Shannon divergence in nats of distributions over the last dimension."""
    middle = (first + second) / 2
    parts = [torch.xlogy(part, part) - torch.xlogy(part, middle) for part in (first, second)]
    return ((parts[0] + parts[1]).sum(dim=-1) / 2).clamp(0, math.log(2))


def seen_by_oracles(batch: Batch) -> Tensor:
    """Whether each oracle gives the target class; a failed query convinces none, ``[B, oracles]``."""
    predictions = [batch.prediction(name) for name in batch.judges.oracles]
    return (torch.stack(predictions, dim=1) == batch.targets[:, None]) & ~batch.failed[:, None]
