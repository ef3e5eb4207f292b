"""Does the classifier, and do others, see the target class?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cfbench.metrics.base import Metric, QueryMetric, Scores
from cfbench.record import Score
from cfbench.stats import wilson

if TYPE_CHECKING:
    from cfbench.judges import Batch, Judges


class FlipRate(QueryMetric):
    """Share of queries whose counterfactual the classifier puts in the target class; failures count as not flipped.

    Rewards validity. Fooled by adversarial noise, which flips without meaning: read it beside oracle agreement.
    """

    name = "flip_rate"
    family = "validity"
    unit = "share of queries"
    direction = "higher"
    bounds = (0.0, 1.0)
    citation = "validity; Wachter et al., arXiv 1711.00399"
    subsets = ("all",)
    rate = True

    @property
    def network(self) -> str:
        return self.judges.task.identity(self.judges.classifier)

    def values(self, batch: Batch) -> Tensor:
        return batch.flipped


class _OracleMetric(QueryMetric):
    rate = True

    @property
    def network(self) -> str:
        return " ".join(map(self.judges.task.identity, self.judges.oracles))

    def blocked(self) -> str | None:
        return None if self.judges.oracles else "the task has no oracles"


class OracleAgreement(_OracleMetric):
    """Share of (query, oracle) pairs in which the oracle sees the target class, over independent classifiers.

    Rewards changes that mean something to others than the classifier explained. Fooled by changes that transfer
    between networks; the more different the oracles, the less.
    """

    name = "oracle_agreement"
    family = "validity"
    unit = "share of (query, oracle) pairs"
    direction = "higher"
    bounds = (0.0, 1.0)
    citation = "oracle score; Hvilshoj et al., arXiv 2111.00177, over several oracles (ours)"
    subsets = ("all",)

    def values(self, batch: Batch) -> Tensor:
        return _seen_by_oracles(batch).double().mean(dim=1)


class OracleAgreedFlip(_OracleMetric):
    """Share of (query, oracle) pairs in which both the classifier and the oracle see the target class.

    The headline: a flip that others see too. Adversarial noise has a high flip rate and a low value here.
    """

    name = "oracle_agreed_flip"
    family = "validity"
    unit = "share of (query, oracle) pairs"
    direction = "higher"
    bounds = (0.0, 1.0)
    citation = "ours"
    subsets = ("all",)

    def values(self, batch: Batch) -> Tensor:
        return (_seen_by_oracles(batch) & batch.flipped[:, None]).double().mean(dim=1)


class OracleAgreementMin(Metric):
    """Oracle agreement with the oracle that agrees least.

    Guards the mean: a change tuned to one architecture fails here.
    """

    name = "oracle_agreement_min"
    family = "validity"
    unit = "share of queries"
    direction = "higher"
    bounds = (0.0, 1.0)
    citation = "ours"
    subsets = ("all",)

    def __init__(self, judges: Judges) -> None:
        super().__init__(judges)
        self._seen: list[Tensor] = []

    def blocked(self) -> str | None:
        return None if self.judges.oracles else "the task has no oracles"

    def update(self, batch: Batch) -> dict[str, Tensor]:
        self._seen.append(_seen_by_oracles(batch).cpu())
        return {f"{name}_prediction": batch.prediction(name).cpu() for name in self.judges.oracles}

    def compute(self) -> Scores:
        counts = torch.cat(self._seen).sum(dim=0)
        least, n = int(counts.argmin()), sum(map(len, self._seen))
        successes = int(counts[least])
        network = self.judges.task.identity(self.judges.oracles[least])
        return {
            "all": Score(value=successes / n, ci95=wilson(successes, n), n=n, version=self.version, network=network)
        }


def _seen_by_oracles(batch: Batch) -> Tensor:
    """Whether each oracle gives the target class; a failed query convinces none, ``[B, oracles]``."""
    predictions = [batch.prediction(name) for name in batch.judges.oracles]
    return (torch.stack(predictions, dim=1) == batch.targets[:, None]) & ~batch.failed[:, None]
