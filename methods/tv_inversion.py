"""Counterfactuals by inversion of the classifier's features with hand-made image priors."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from cfbench.classifier import Classifier
from cfbench.errors import InvalidParameter
from cfbench.inversion import Objective, Stage, descend
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.priors import Pixels


class TVInversion(Method):
    """Features of the query, logits of the target, and two priors on pixels (Mahendran & Vedaldi, arXiv 1412.0035).

    From the query on, minimises ``matching * sum_l |Psi_l(x') - Psi_l(x)|^2 / size_l + target * CE(F(x'), t) + smooth *
    V_beta(x') + bounded * R_alpha(x')`` by Adam on the pixels. An image is taken when its target probability reaches
    ``confidence``. The priors are the paper's, here as means over pixels: V_beta is ``(down^2 + across^2)^(beta / 2)``
    of the differences to the next pixels, R_alpha the distance to the mean colour to the power of alpha.

    Our reading: the start at the query and the cross-entropy, which make a counterfactual of an inversion; every layer
    matched, by squared distances a feature; the mean colour is that of the query, because training data are not used;
    Adam; all weights.

    Args:
        steps: at least 1. rate: Adam's learning rate, in pixel values.
        matching, target, smooth, bounded: weights of the terms. beta, alpha: powers, at least 1.
        confidence: target probability at which an image is taken, in (0, 1).
    """

    name = "tv-inversion"
    family = "deep inversion"
    citation = (
        "Mahendran, Vedaldi: Understanding deep image representations by inverting them, CVPR 2015, arXiv 1412.0035"
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
        smooth: float = 100.0,
        bounded: float = 1.0,
        beta: float = 2.0,
        alpha: float = 6.0,
        confidence: float = 0.9999,
    ) -> None:
        if (
            steps < 1
            or min(rate, target) <= 0
            or min(matching, smooth, bounded) < 0
            or min(beta, alpha) < 1
            or not 0 < confidence < 1
        ):
            raise InvalidParameter(
                f"steps is {steps}, rate {rate}, matching {matching}, target {target}, smooth {smooth}, bounded "
                f"{bounded}, beta {beta}, alpha {alpha}, confidence {confidence}; expected steps, beta, alpha >= 1, "
                "matching, smooth, bounded >= 0, 0 < confidence < 1, others above 0"
            )
        self.steps = steps
        self.rate = rate
        self.matching = matching
        self.target = target
        self.smooth = smooth
        self.bounded = bounded
        self.beta = beta
        self.alpha = alpha
        self.confidence = confidence

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        objective = Regularised(
            self.task.classifier,
            images,
            targets,
            matching=self.matching,
            target=self.target,
            variation=(self.smooth, self.beta),
            bound=(self.bounded, self.alpha),
        )
        found = descend(Pixels(images), objective, steps=self.steps, rate=self.rate, confidence=self.confidence)
        self.log(steps=found.steps)
        return found.images


class Regularised(Objective):
    """The objective of feature inversion with the two priors.

    Args:
        images: whose mean colours R_alpha keeps to.
        variation: weight and power of V_beta. bound: weight and power of R_alpha.
        classifier, targets, settings: those of :class:`cfbench.inversion.Objective`.
    """

    def __init__(
        self,
        classifier: Classifier,
        images: Tensor,
        targets: Tensor,
        *,
        variation: tuple[float, float],
        bound: tuple[float, float],
        **settings: Any,
    ) -> None:
        super().__init__(classifier, images, targets, **settings)
        self.variation = variation
        self.bound = bound
        self.colour = images.mean((2, 3), keepdim=True)

    def keep(self, kept: Tensor) -> None:
        super().keep(kept)
        self.colour = self.colour[kept]

    def __call__(self, images: Tensor, stage: Stage) -> tuple[Tensor, Tensor]:
        loss, probability = super().__call__(images, stage)
        smooth, beta = self.variation
        bounded, alpha = self.bound
        spread = (images - self.colour).abs().pow(alpha).flatten(1).mean(1)
        return loss + smooth * powered_variation(images, beta) + bounded * spread, probability


def powered_variation(images: Tensor, beta: float) -> Tensor:
    """Mean over pixels of ``(down^2 + across^2)^(beta / 2)`` of ``[B, C, H, W]``, ``[B]``.

    Differences are those to the next pixel, and 0 at the last. Squares are kept above 1e-12, because roots have no
    slope at 0.
    """
    down = images.diff(dim=2, append=images[:, :, -1:])
    across = images.diff(dim=3, append=images[:, :, :, -1:])
    return (down.square() + across.square()).clamp_min(1e-12).pow(beta / 2).flatten(1).mean(1)
