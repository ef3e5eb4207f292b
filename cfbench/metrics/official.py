"""LPIPS, FID and KID: computed only with the official weights, blank otherwise."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench import weights
from cfbench.inception import FastInception
from cfbench.metrics.base import QueryMetric
from cfbench.metrics.realism import FrechetDistance, SetMetric
from cfbench.spaces import Space

if TYPE_CHECKING:
    from cfbench.batch import Batch
    from cfbench.judges import Judges

BACKBONES = {"alex": "ALEXNET", "vgg": "VGG", "squeeze": "SQUEEZENET"}
"""Name of a backbone in the lpips package, and of its official weights in :mod:`cfbench.weights`."""


def rgb(images: Tensor) -> Tensor:
    """Gray images repeated to three channels; others as they are."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


class LPIPS(QueryMetric):
    """Learned perceptual distance of each counterfactual to its query: LPIPS 0.1 on an official backbone.

    ``lpips`` is on AlexNet, ``lpips[vgg]`` and ``lpips[squeeze]`` on the others. Rewards perceptual closeness. Fooled
    by doing nothing. Gray images are repeated to RGB; images below 64 pixels are enlarged bilinearly to 64, which the
    network id says.
    """

    name = "lpips"
    family = "proximity"
    unit = "LPIPS"
    direction = "lower"
    bounds = (0.0, float("inf"))
    citation = "Zhang et al., arXiv 1801.03924"
    resource = "the official weights of its backbone"

    SIDE = 64

    def __init__(self, judges: Judges, backbone: str = "alex") -> None:
        super().__init__(judges)
        self.backbone = backbone

    @classmethod
    def instances(cls, judges: Judges) -> list[Self]:
        return [cls(judges, backbone) for backbone in BACKBONES]

    @property
    def key(self) -> str:
        return self.name if self.backbone == "alex" else f"{self.name}[{self.backbone}]"

    @property
    def _weights(self) -> weights.OfficialWeights:
        found: weights.OfficialWeights = getattr(weights, BACKBONES[self.backbone])
        return found

    def blocked(self) -> str | None:
        return self._weights.problem()

    @property
    def network(self) -> str:
        enlarged = f" at {self.SIDE} px" if min(self.judges.image_shape[1:]) < self.SIDE else ""
        return f"lpips-0.1-{self.backbone}@{self._weights.sha256[:12]}{enlarged}"

    @cached_property
    def _network(self) -> nn.Module:
        import lpips

        with torch.random.fork_rng(devices=[]):
            network: nn.Module = lpips.LPIPS(net=self.backbone, pnet_rand=True, verbose=False)
        state = self._weights.state()
        for part in network.net.children():  # type: ignore[union-attr]
            for index, layer in part.named_children():
                prefix = f"features.{index}."
                layer.load_state_dict(
                    {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
                )
        return network.eval().requires_grad_(False).to(self.judges.device).to(memory_format=torch.channels_last)

    def values(self, batch: Batch) -> Tensor:
        pair = [rgb(images) * 2 - 1 for images in (batch.counterfactuals, batch.queries)]
        if min(pair[0].shape[2:]) < self.SIDE:
            pair = [F.interpolate(images, size=(self.SIDE, self.SIDE), mode="bilinear") for images in pair]
        distance: Tensor = self._network(*pair)
        return distance.flatten()


def inception(state: Callable[[], dict[str, Tensor]]) -> nn.Module:
    """pytorch-fid's Inception with the weights that ``state`` gives."""
    from pytorch_fid import inception as package

    def verified(*arguments: Any, **options: Any) -> dict[str, Tensor]:
        return state()

    original = package.load_state_dict_from_url
    package.load_state_dict_from_url = verified
    try:
        with torch.random.fork_rng(devices=[]):
            network: nn.Module = package.InceptionV3([3])
    finally:
        package.load_state_dict_from_url = original
    return network


def inception_space(judges: Judges) -> Space:
    """The space of FID and KID: pytorch-fid's 2048 pooled features up to float32 rounding; loads when first used."""
    network = cache(lambda: FastInception(inception(weights.INCEPTION.state)).to(judges.device))

    def embed(images: Tensor) -> Tensor:
        features: Tensor = network()(rgb(images))
        return features

    identity = f"inception-2015-12-05@{weights.INCEPTION.sha256[:12]} pytorch-fid"
    return Space("inception", identity, embed, problem=weights.INCEPTION.problem, published=True)


class OnInception(SetMetric):
    """A set metric on the official Inception weights, blank without them."""

    resource = "the official Inception weights"

    @classmethod
    def instances(cls, judges: Judges) -> list[Self]:
        return [cls(judges, inception_space(judges))]

    @property
    def key(self) -> str:
        return self.name


class FID(OnInception, FrechetDistance):
    """Frechet Inception distance between counterfactuals and their queries, on the official Inception weights.

    The figure other papers print. Rewards looking like the queries as a set; needs thousands of images to mean much.
    Fooled by unchanged images, see ``fd``. On pytorch-fid's features: 2048 pooled, images enlarged bilinearly to 299,
    2x - 1.
    """

    name = "fid"
    unit = "squared Inception feature distance"
    minimum = 1000
    citation = "Heusel et al., arXiv 1706.08500; pytorch-fid's port of the weights"

    def least(self) -> int:
        return self.minimum
