"""DISC: counterfactuals by deep inversion with strong priors, manifold consistency and staged optimisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, cast

from torch import Tensor

from cfbench.consistency import ClassDistance, ErrorPrediction
from cfbench.errors import InvalidParameter
from cfbench.inversion import SCHEDULES, Consistency, Objective, descend, reconstruct
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import DUQHead, LossEstimator
from cfbench.priors import FourierNet, Pixels, Prior, Siren, SkipNet
from cfbench.seeds import QueryRandom
from cfbench.view import MethodView

PRIORS: dict[str, Callable[[QueryRandom, Tensor, Sequence[int]], Prior]] = {
    "pixels": lambda random, images, widths: Pixels(images),
    "dip": lambda random, images, widths: SkipNet(random, tuple(images.shape[1:]), widths=widths),
    "siren": lambda random, images, widths: Siren(random, tuple(images.shape[1:])),
    "fourier": lambda random, images, widths: FourierNet(random, tuple(images.shape[1:])),
}


class DISC(Method):
    """Deep inversion with a strong prior, manifold consistency and staged optimisation (arXiv 2109.14274).

    No training data are used at explanation time.

    A prior with weights of its own for every query first fits the query, then minimises ``matching * sum_l
    |Psi_l(x') - Psi_l(x)|^2 / size_l + target * CE(F(x'), t) + guidance * L_mc(x') + smooth * TV(x')``. L_mc is the
    hinge of a loss estimator (``dep``) or the distance to the target class's centroid (``duq``), both read from the
    frozen classifier's features. An image is taken when its target probability reaches ``confidence``.

    Our reading: squared, size-normalised distances; the forms of both L_mc and the heads' training after the
    classifier; all weights; the staged schedules, which the paper does not give; the stop.

    Args:
        prior: ``pixels`` (with TV; the deep-inversion baseline of the paper), ``dip``, ``siren`` or ``fourier``.
        consistency: ``none``, ``dep`` or ``duq``.
        progressive: ``off``, or what is staged: ``layers`` that are matched, ``target`` weight, free ``weights``.
        warmup: steps that only reconstruct the query. steps: counterfactual steps after them, at least 1.
        warmup_rate, rate: Adam's learning rates.
        matching, target, guidance, smooth: weights of the terms.
        confidence: target probability at which an image is taken, in (0, 1).
        widths: channels of the scales of ``dip``, from fine to coarse.
    """

    name = "disc"
    family = "deep inversion"
    citation = (
        "Thiagarajan, Narayanaswamy, Rajan, Liang, Chaudhari, Spanias: Designing counterfactual generators using deep "
        "model inversion, NeurIPS 2021, arXiv 2109.14274"
    )
    needs = Needs(gradients=True, networks=("loss-estimator", "duq"))
    batch_size = 100
    quick = {"warmup": 5, "steps": 5}

    def __init__(
        self,
        *,
        prior: Literal["pixels", "dip", "siren", "fourier"] = "dip",
        consistency: Literal["none", "dep", "duq"] = "duq",
        progressive: Literal["off", "layers", "target", "weights"] = "off",
        warmup: int = 100,
        steps: int = 100,
        warmup_rate: float = 0.02,
        rate: float = 0.002,
        matching: float = 1.0,
        target: float = 100.0,
        guidance: float = 100.0,
        smooth: float = 0.0,
        confidence: float = 0.99,
        widths: tuple[int, ...] = (16, 16, 32),
    ) -> None:
        if (
            warmup < 0
            or steps < 1
            or min(warmup_rate, rate, target) <= 0
            or min(matching, guidance, smooth) < 0
            or not 0 < confidence < 1
        ):
            raise InvalidParameter(
                f"warmup is {warmup}, steps {steps}, warmup_rate {warmup_rate}, rate {rate}, matching {matching}, "
                f"target {target}, guidance {guidance}, smooth {smooth}, confidence {confidence}; expected warmup, "
                "matching, guidance, smooth >= 0, steps >= 1, 0 < confidence < 1, others above 0"
            )
        self.prior = prior
        self.consistency = consistency
        self.progressive = progressive
        self.warmup = warmup
        self.steps = steps
        self.warmup_rate = warmup_rate
        self.rate = rate
        self.matching = matching
        self.target = target
        self.guidance = guidance
        self.smooth = smooth
        self.confidence = confidence
        self.widths = widths

    def prepare(self, task: MethodView) -> None:
        self._term: tuple[Consistency, float] | None = None
        if self.consistency == "dep":
            self._term = ErrorPrediction(cast(LossEstimator, task.network("loss-estimator"))), self.guidance
        elif self.consistency == "duq":
            self._term = ClassDistance(cast(DUQHead, task.network("duq"))), self.guidance

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        prior = PRIORS[self.prior](self.random, images, self.widths).to(images.device)
        reconstruct(prior, images, steps=self.warmup, rate=self.warmup_rate)
        objective = Objective(
            self.task.classifier,
            images,
            targets,
            matching=self.matching,
            target=self.target,
            smooth=self.smooth,
            consistency=self._term,
            schedule=SCHEDULES[self.progressive],
        )
        found = descend(prior, objective, steps=self.steps, rate=self.rate, confidence=self.confidence)
        self.log(steps=found.steps)
        return found.images
