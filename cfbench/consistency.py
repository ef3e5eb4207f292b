"""Manifold consistency: a classifier's own doubt about an image, which data-free counterfactuals keep small."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cfbench.errors import InvalidParameter
from cfbench.networks import DUQHead, LossEstimator


class ErrorPrediction:
    """Direct error prediction: ``max(0, E(x') - tau + margin)`` of a loss estimator E.

    tau is the median estimate over the training images that the classifier gets right; without it a ranking head,
    which has no scale, would drift to minus infinity (our reading of arXiv 2010.12046 and 2109.14274).

    Args:
        estimator: E. margin: how far below tau an estimate costs nothing.
    """

    def __init__(self, estimator: LossEstimator, margin: float = 0.0) -> None:
        self.estimator = estimator
        self.margin = margin

    def __call__(self, maps: Sequence[Tensor], targets: Tensor) -> Tensor:
        """``[B]`` of feature maps; the classes asked for do not matter."""
        hinge: Tensor = (self.estimator(maps) - self.estimator.threshold + self.margin).clamp_min(0)
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


class BatchStatistics:
    """How far features are from what batch normalisation saw in training (DeepInversion, arXiv 1912.08795, equation 4).

    The mean over the layers of ``mean_c (mu_c - m_c)^2 / s_c^2 + mean_c (v_c / s_c^2 - 1)^2``, where m and s^2 are a
    layer's running mean and variance, and mu and v the mean and variance of its input. Our reading: mu and v are over
    the pixels of one image, so that images do not depend on their batch, and both are in units of s.

    Args:
        network: the classifier; its layers are read whenever it runs.

    Raises:
        InvalidParameter: it has no batch normalisation.
    """

    def __init__(self, network: nn.Module) -> None:
        layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        if not layers:
            raise InvalidParameter(f"{type(network).__name__} has no batch normalisation to match statistics of")
        self._terms: dict[nn.Module, Tensor] = {}
        for layer in layers:
            layer.register_forward_pre_hook(self._read)

    def _read(self, layer: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(layer, nn.BatchNorm2d)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        variance, mean = torch.var_mean(inputs[0], dim=(2, 3), correction=0)
        scale = layer.running_var + layer.eps
        self._terms[layer] = ((mean - layer.running_mean).square() / scale + (variance / scale - 1).square()).mean(1)

    def __call__(self, maps: Sequence[Tensor], targets: Tensor) -> Tensor:
        """``[B]``, of the pass that just gave feature maps; the classes asked for do not matter."""
        return torch.stack(list(self._terms.values())).mean(0)
