"""Manifold consistency: a classifier's own doubt about an image, which data-free counterfactuals keep small."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cfbench.networks import DUQHead, LossEstimator


class ErrorPrediction:
    """Direct error prediction: ``max(0, E(x') - tau)`` of a loss estimator E.

    tau is the median estimate over the training images that the classifier gets right; without it a ranking head,
    which has no scale, would drift to minus infinity (our reading of arXiv 2010.12046 and 2109.14274).
    """

    def __init__(self, estimator: LossEstimator) -> None:
        self.estimator = estimator

    def __call__(self, maps: Sequence[Tensor], targets: Tensor) -> Tensor:
        """``[B]`` of feature maps; the classes asked for do not matter."""
        hinge: Tensor = (self.estimator(maps) - self.estimator.threshold).clamp_min(0)
        return hinge


class ClassDistance:
    """Deterministic uncertainty: ``-log K_t(x')``, the distance to the target class's centroid over 2 sigma^2.

    Our reading of the DUQ consistency of arXiv 2109.14274; the logarithm keeps a gradient where K_t is 0 to rounding.
    """

    def __init__(self, head: DUQHead) -> None:
        self.head = head

    def __call__(self, maps: Sequence[Tensor], targets: Tensor) -> Tensor:
        """``[B]`` of feature maps and the classes asked for."""
        return -self.head.log_kernels(self.head.embed(maps)).gather(1, targets[:, None])[:, 0]
