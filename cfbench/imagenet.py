"""The ImageNet feature space: EfficientNet-Lite0 from a package, for RGB images where no hub can be reached."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.errors import CfbenchError
from cfbench.networks.efficientnet import WEIGHTS_SHA256, imagenet_tensors
from cfbench.spaces import Space

NAME = "efficientnet-lite0"
INSTALL = "pip install 'cfbench-vision[imagenet]'"

SIDE = 128
"""Pixels a side that images are resized to: a fifth of the cost of the 224 that the network was trained at."""

BATCH = 10
"""Images a pass; more do not fit the caches and take up to twice as long."""


def imagenet_space(device: torch.device) -> Space:
    """The space of the 1280 pooled features of EfficientNet-Lite0 (Apache-2.0); its network loads when first used.

    Images are resized to ``SIDE`` bilinearly with antialiasing, whatever their shape, and scaled as the weights
    expect, ``(255 x - 127) / 128``. Its distances are never called FID.
    """
    network = cache(lambda: imagenet_network().to(device))

    def embed(images: Tensor) -> Tensor:
        return torch.cat([network()(prepared(part)) for part in images.split(BATCH)])

    identity = f"{NAME}@{WEIGHTS_SHA256[:12]} pooled at {SIDE} px"
    return Space(NAME, identity, embed, problem=problem, published=True)


def problem() -> str | None:
    """Why the network cannot be used here, or None."""
    if find_spec("timm") is None:
        return f"timm is not installed; run: {INSTALL}"
    try:
        imagenet_tensors()
    except CfbenchError as error:
        return str(error)
    return None


def imagenet_network() -> nn.Module:
    """timm's EfficientNet-Lite0 without its classifier, with the published weights.

    Raises:
        MissingResource: their package is not installed. CorruptFile: it holds other weights.
    """
    import timm

    with torch.random.fork_rng(devices=[]):
        network: nn.Module = timm.create_model("tf_efficientnet_lite0")
    network.load_state_dict(dict(zip(network.state_dict(), imagenet_tensors(), strict=True)))
    network.reset_classifier(0)  # type: ignore[operator]
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def prepared(images: Tensor) -> Tensor:
    """What the network takes, of RGB ``images`` [N, 3, H, W] in [0, 1]."""
    resized = F.interpolate(images, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    return ((resized * 255 - 127) / 128).contiguous(memory_format=torch.channels_last)
