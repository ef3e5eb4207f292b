"""Does the classifier see the target class?"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from cfbench.batch import UNDECIDED
from cfbench.metrics.base import Direction, QueryMetric

if TYPE_CHECKING:
    from cfbench.batch import Batch


class _Share(QueryMetric):
    family = "validity"
    unit = "share of queries"
    direction = "higher"
    bounds = (0.0, 1.0)
    needs = ("verdicts",)
    subsets = ("all",)
    rate = True

    @property
    def network(self) -> str:
        return self.judges.explained


class FlipRate(_Share):
    """Share of queries whose counterfactual the classifier puts in the target class; failures count as not flipped.

    Rewards validity. Fooled by adversarial noise, which flips without meaning: read it beside oracle agreement.
    """

    name = "flip_rate"
    citation = "validity; Wachter et al., arXiv 1711.00399"

    def values(self, batch: Batch) -> Tensor:
        return batch.flipped


class UntargetedFlipRate(_Share):
    """Share of queries whose counterfactual the classifier no longer puts in the source class, whatever it says now.

    Rewards leaving a class. Fooled by adversarial noise, and by ending in a class that nobody asked for.
    """

    name = "untargeted_flip_rate"
    citation = "target class validity as coded by Hvilshoj et al., arXiv 2111.00177"

    def values(self, batch: Batch) -> Tensor:
        return (batch.verdicts != batch.sources) & (batch.verdicts != UNDECIDED) & ~batch.failed


class _Confidence(QueryMetric):
    family = "validity"
    unit = "probability"
    direction: ClassVar[Direction] = "higher"
    bounds = (0.0, 1.0)
    needs = ("classifier",)

    def target(self, batch: Batch) -> Tensor:
        """Probability of the target class for each counterfactual; 0 for a failed query, ``[B]``."""
        given = batch.probabilities(self.judges.classifier).gather(1, batch.targets[:, None])[:, 0]
        return torch.where(batch.failed, 0.0, given)


class TargetConfidence(_Confidence):
    """Probability that the classifier gives the target class; 0 for a failed query.

    Rewards going far past the boundary. Fooled by adversarial noise, which reaches 1 with ease.
    """

    name = "target_confidence"
    citation = "common practice"

    def values(self, batch: Batch) -> Tensor:
        return self.target(batch)


class ConfidenceGain(_Confidence):
    """Probability of the target class after the change minus before; a failed query gains 0.

    Rewards moving the classifier. Fooled by adversarial noise, and easier for queries that start far from the target.
    """

    name = "confidence_gain"
    unit = "difference of probabilities"
    bounds = (-1.0, 1.0)
    citation = "common practice"

    def values(self, batch: Batch) -> Tensor:
        before, after = (
            batch.probabilities(self.judges.classifier, which).gather(1, batch.targets[:, None])[:, 0]
            for which in ("queries", "counterfactuals")
        )
        return torch.where(batch.failed, 0.0, after - before)


class BoundedKL(_Confidence):
    """One minus the probability of the target class; 1 for a failed query.

    Rewards what target confidence rewards, in the form that diffusion papers print. Fooled by adversarial noise.
    """

    name = "bkl"
    direction = "lower"
    citation = "bounded Kullback-Leibler divergence; Jeanneret et al., arXiv 2203.15636"

    def values(self, batch: Batch) -> Tensor:
        return 1 - self.target(batch)


class NonAdversarialRate(QueryMetric):
    """Share of the flips that survive in a copy of the classifier, distilled from its outputs into other weights.

    Rewards flips that follow the function the classifier computes, not the accidents of its weights. Fooled by
    attacks that transfer between networks; oracles of other architectures are the harder test.
    """

    name = "non_adversarial_rate"
    family = "validity"
    unit = "share of flips"
    direction = "higher"
    bounds = (0.0, 1.0)
    needs = ("classifier", "distilled")
    citation = "non-adversarial rate; Bender et al., arXiv 2506.14698, with a distilled copy frozen beside the task"
    subsets = ("flipped",)
    rate = True

    def values(self, batch: Batch) -> Tensor:
        return batch.prediction(self.judges.names("distilled")[0]) == batch.targets
