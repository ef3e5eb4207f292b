"""Corruptions of 8-bit images at five severities, after ImageNet-C (arXiv 1903.12261), scaled to small images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.images import dequantise, quantise
from cfbench.seeds import QueryRandom

SEVERITIES = (1, 2, 3, 4, 5)

DEVIATIONS = (0.04, 0.06, 0.08, 0.09, 0.10)
"""Standard deviation of Gaussian noise, as in the CIFAR form of ImageNet-C."""

WIDTHS = (0.4, 0.6, 0.7, 0.8, 1.0)
"""Sigma of the Gaussian blur in pixels, as in the CIFAR form."""

CONTRASTS = (0.75, 0.5, 0.4, 0.3, 0.15)
"""Factor of the deviation from an image's mean, as in the CIFAR form."""

QUALITIES = (80, 65, 58, 50, 40)
"""Quality of the JPEG compression, as in the CIFAR form."""


def _noise(images: Tensor, severity: int, seeds: Sequence[int]) -> Tensor:
    drawn = QueryRandom(seeds, images.device).normal(*images.shape[1:])
    return quantise(dequantise(images) + DEVIATIONS[severity - 1] * drawn)


def _blur(images: Tensor, severity: int, seeds: Sequence[int]) -> Tensor:
    sigma, channels = WIDTHS[severity - 1], images.shape[1]
    places = torch.arange(-4, 5, dtype=torch.float32, device=images.device)
    weights = (-(places**2) / (2 * sigma**2)).exp()
    weights = (weights / weights.sum()).expand(channels, 1, 1, 9)
    padded = F.pad(dequantise(images), (4, 4, 4, 4), mode="replicate")
    rows = F.conv2d(padded, weights, groups=channels)
    return quantise(F.conv2d(rows, weights.transpose(2, 3), groups=channels))


def _contrast(images: Tensor, severity: int, seeds: Sequence[int]) -> Tensor:
    values = dequantise(images)
    mean = values.mean(dim=(2, 3), keepdim=True)
    return quantise(mean + CONTRASTS[severity - 1] * (values - mean))


def _jpeg(images: Tensor, severity: int, seeds: Sequence[int]) -> Tensor:
    return torch.stack([_compressed(image.cpu(), QUALITIES[severity - 1]) for image in images]).to(images.device)


def _compressed(image: Tensor, quality: int) -> Tensor:
    from PIL import Image

    pixels = image.permute(1, 2, 0).squeeze(2).numpy() if image.shape[0] == 1 else image.permute(1, 2, 0).numpy()
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as picture:
        decoded = np.asarray(picture, dtype=np.uint8).reshape(*image.shape[1:], image.shape[0])
    return torch.from_numpy(decoded.transpose(2, 0, 1).copy())


CORRUPTIONS: dict[str, Callable[[Tensor, int, Sequence[int]], Tensor]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "jpeg": _jpeg,
}


def corrupt(images: Tensor, kind: str, severity: int, *, seeds: Sequence[int]) -> Tensor:
    """Corrupt 8-bit images ``[N, C, H, W]``.

    Args:
        kind: one of ``CORRUPTIONS``. severity: 1 to 5. seeds: one an image, for noise.
    """
    return CORRUPTIONS[kind](images, severity, seeds)
