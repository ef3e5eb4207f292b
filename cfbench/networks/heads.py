"""Heads that say how far to trust a classifier: what loss to expect, and how near an image is to its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from cfbench.networks.base import FeatureNetwork


class LossEstimator(nn.Module):
    """Estimates a classifier's loss from its feature maps (the loss prediction module of arXiv 1905.03677).

    Each map is averaged over space and goes through a linear layer and ReLU of its own; one linear layer reads them
    all. Estimates only rank images: they have no unit and no zero.

    Args:
        widths: channels of each feature map. hidden: outputs of each map's linear layer.

    Attributes:
        threshold: median estimate over the training images that the classifier gets right, a scalar.
    """

    threshold: Tensor

    def __init__(self, widths: Sequence[int], *, hidden: int = 32) -> None:
        super().__init__()
        self.readers = nn.ModuleList(nn.Linear(width, hidden) for width in widths)
        self.join = nn.Linear(hidden * len(widths), 1)
        self.register_buffer("threshold", torch.tensor(0.0))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Estimates ``[B]`` from feature maps, each ``[B, C_l, H_l, W_l]``."""
        read = [reader(each.mean(dim=(2, 3))).relu() for reader, each in zip(self.readers, maps, strict=True)]
        estimates: Tensor = self.join(torch.cat(read, dim=1))
        return estimates[:, 0]


class JointClassifier(FeatureNetwork):
    """A classifier and its loss estimator, trained together.

    Args:
        classifier: whose parts are taken over. estimator: reads its feature maps.

    Attributes:
        heads: names of the parts that read its feature maps, by role.
    """

    heads: ClassVar[Mapping[str, str]] = {"loss-estimator": "estimator"}

    def __init__(self, classifier: FeatureNetwork, estimator: LossEstimator) -> None:
        self.adopt(classifier)
        self.estimator = estimator

    @classmethod
    def of(cls, build: Callable[[], FeatureNetwork], widths: Sequence[int]) -> JointClassifier:
        """A classifier made by ``build``, whose feature maps have ``widths`` channels, with a new estimator."""
        return cls(build(), LossEstimator(widths))


class DUQHead(nn.Module):
    """How near an image's features are to the centroid of each class (deterministic uncertainty, arXiv 2003.02037).

    K_c = exp(-mean_n (W_c f - e_c)_n^2 / (2 sigma^2)), where f are the pooled features of the last map. The centroids
    e_c are moving averages of W_c f over the training images of class c.

    Args:
        width: features f. classes: number of classes. size: outputs n of each W_c.
        sigma: length scale of the kernel. momentum: of the moving averages, in [0, 1).
    """

    counts: Tensor
    sums: Tensor

    def __init__(self, *, width: int, classes: int, size: int = 32, sigma: float = 0.1, momentum: float = 0.99) -> None:
        super().__init__()
        self.sigma = sigma
        self.momentum = momentum
        self.weight = nn.Parameter(torch.empty(classes, size, width))
        nn.init.normal_(self.weight, std=width**-0.5)
        self.register_buffer("counts", torch.zeros(classes))
        self.register_buffer("sums", torch.zeros(classes, size))

    def embed(self, maps: Sequence[Tensor]) -> Tensor:
        """W_c f for every class, ``[B, classes, size]``, of feature maps ``[B, C_l, H_l, W_l]``."""
        return torch.einsum("csw,bw->bcs", self.weight, maps[-1].mean(dim=(2, 3)))

    def log_kernels(self, embedded: Tensor) -> Tensor:
        """log K_c of embedded features ``[B, classes, size]``, at most 0, ``[B, classes]``."""
        centroids = self.sums / self.counts.clamp_min(1e-6)[:, None]
        return -(embedded - centroids).square().mean(dim=2) / (2 * self.sigma**2)

    def kernels(self, embedded: Tensor) -> Tensor:
        """K_c of embedded features ``[B, classes, size]``, in (0, 1], ``[B, classes]``."""
        return self.log_kernels(embedded).exp()

    @torch.no_grad()
    def update(self, embedded: Tensor, labels: Tensor) -> None:
        """Move the centroids towards a batch of embedded features with their class ``[B]``."""
        members = nn.functional.one_hot(labels, len(self.counts)).to(embedded.dtype)
        self.counts.lerp_(members.sum(dim=0), 1 - self.momentum)
        self.sums.lerp_(torch.einsum("bc,bcs->cs", members, embedded), 1 - self.momentum)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """K_c ``[B, classes]`` from a classifier's feature maps."""
        return self.kernels(self.embed(maps))
