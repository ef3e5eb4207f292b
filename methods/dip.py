"""Deep image prior counterfactuals, the standard form without a loss estimator."""

from __future__ import annotations

from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.inversion import Consistency, Objective, descend, reconstruct
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.priors import SkipNet


class DIP(Method):
    """Feature inversion under a deep image prior (the baseline of arXiv 2010.12046; prior of arXiv 1711.10925).

    Every query gets an untrained network g of its own. Its weights first fit the query (``warmup`` steps of mean
    squared error at ``warmup_rate``), then minimise ``sum_l |Psi_l(x) - Psi_l(g)|^2 / size_l + weight * CE(F(g), t)``
    over the stages Psi_l of the classifier. The networks of a batch are optimised side by side. An image is taken at
    the first step at which its target probability reaches ``confidence``, or else at the last.

    Our reading: the objective's weights, the warm-up on pixels, the stop; none is the paper's.

    Args:
        warmup: steps that only reconstruct the query. steps: counterfactual steps after them, at least 1.
        warmup_rate, rate: Adam's learning rates; too high a ``rate`` throws the image far beyond the boundary at once.
        weight: weight of the cross-entropy to the target.
        confidence: target probability at which an image is taken, in (0, 1).
        layers: the classifier's feature maps that are matched, 0 the first; none given, all.
        widths: channels of the prior's scales, from fine to coarse.
    """

    name = "dip"
    family = "deep image prior"
    citation = (
        "Narayanaswamy, Thiagarajan, Spanias: Using deep image priors to generate counterfactual explanations, "
        "ICASSP 2021, arXiv 2010.12046"
    )
    needs = Needs(gradients=True)
    batch_size = 100
    quick = {"warmup": 5, "steps": 5}

    def __init__(
        self,
        *,
        warmup: int = 100,
        steps: int = 100,
        warmup_rate: float = 0.02,
        rate: float = 0.002,
        weight: float = 100.0,
        confidence: float = 0.99,
        layers: tuple[int, ...] | None = None,
        widths: tuple[int, ...] = (16, 16, 32),
    ) -> None:
        if warmup < 0 or steps < 1 or min(warmup_rate, rate, weight) <= 0 or not 0 < confidence < 1:
            raise InvalidParameter(
                f"warmup is {warmup}, steps {steps}, warmup_rate {warmup_rate}, rate {rate}, weight {weight}, "
                f"confidence {confidence}; expected warmup >= 0, steps >= 1, 0 < confidence < 1, others above 0"
            )
        self.warmup = warmup
        self.steps = steps
        self.warmup_rate = warmup_rate
        self.rate = rate
        self.weight = weight
        self.confidence = confidence
        self.layers = layers
        self.widths = widths

    def consistency(self) -> tuple[Consistency, float] | None:
        """A further term of the objective and its weight; here, none."""
        return None

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        prior = SkipNet(self.random, self.task.image_shape, widths=self.widths).to(images.device)
        reconstruct(prior, images, steps=self.warmup, rate=self.warmup_rate)
        objective = Objective(
            self.task.classifier,
            images,
            targets,
            target=self.weight,
            consistency=self.consistency(),
            layers=self.layers,
        )
        found = descend(prior, objective, steps=self.steps, rate=self.rate, confidence=self.confidence)
        self.log(steps=found.steps)
        return found.images
