"""Counterfactuals by DeepInversion: pixels with total variation and batch-norm statistics."""

from __future__ import annotations

from torch import Tensor

from cfbench.consistency import BatchStatistics
from cfbench.errors import InvalidParameter
from cfbench.inversion import Objective, descend
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.priors import Pixels
from cfbench.view import MethodView


class DeepInversion(Method):
    """Pixels moved to the target class, kept smooth and near the statistics that batch norms saw (arXiv 1912.08795).

    From the query on, minimises ``matching * sum_l |Psi_l(x') - Psi_l(x)|^2 / size_l + target * CE(F(x'), t) + smooth *
    TV(x') + statistics * R_BN(x')``. An image is taken when its target probability reaches ``confidence``. Neither
    training data nor a generator is used.

    Our reading: the start at the query and the match of its features, which make a counterfactual of an inversion;
    statistics over the pixels of each image rather than over a batch; all weights.

    Args:
        steps: at least 1. rate: Adam's learning rate, in pixel values.
        matching, target, smooth, statistics: weights of the terms.
        confidence: target probability at which an image is taken, in (0, 1).
    """

    name = "deep-inversion"
    family = "deep inversion"
    citation = (
        "Yin, Molchanov, Alvarez, Li, Mallya, Hoiem, Jha, Kautz: Dreaming to distill: data-free knowledge transfer via "
        "DeepInversion, CVPR 2020, arXiv 1912.08795"
    )
    needs = Needs(gradients=True)
    batch_size = 100
    quick = {"steps": 5}

    def __init__(
        self,
        *,
        steps: int = 100,
        rate: float = 0.01,
        matching: float = 1.0,
        target: float = 100.0,
        smooth: float = 10.0,
        statistics: float = 10.0,
        confidence: float = 0.99,
    ) -> None:
        if steps < 1 or min(rate, target) <= 0 or min(matching, smooth, statistics) < 0 or not 0 < confidence < 1:
            raise InvalidParameter(
                f"steps is {steps}, rate {rate}, matching {matching}, target {target}, smooth {smooth}, statistics "
                f"{statistics}, confidence {confidence}; expected steps >= 1, matching, smooth, statistics >= 0, "
                "0 < confidence < 1, others above 0"
            )
        self.steps = steps
        self.rate = rate
        self.matching = matching
        self.target = target
        self.smooth = smooth
        self.statistics = statistics
        self.confidence = confidence

    def prepare(self, task: MethodView) -> None:
        self._statistics = BatchStatistics(task.classifier.network)

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        objective = Objective(
            self.task.classifier,
            images,
            targets,
            matching=self.matching,
            target=self.target,
            smooth=self.smooth,
            consistency=(self._statistics, self.statistics),
        )
        found = descend(Pixels(images), objective, steps=self.steps, rate=self.rate, confidence=self.confidence)
        self.log(steps=found.steps)
        return found.images
