"""Masks of what changed in an image, and denoising of what lies inside them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.denoising import Chain


def changed(images: Tensor, others: Tensor, *, threshold: float, dilation: int) -> Tensor:
    """Where two images differ most and around it, ``[B, 1, H, W]`` of bool.

    The absolute differences, summed over channels, are divided by the largest of the image; pixels that have
    ``threshold`` of it within the square of side ``dilation`` around them are in (ACE, arXiv 2303.09962).

    Args:
        images, others: ``[B, C, H, W]``. threshold: in [0, 1]; 0 is everywhere. dilation: odd.
    """
    difference = (images - others).abs().sum(1, keepdim=True)
    share = difference / difference.amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
    return F.max_pool2d(share, dilation, stride=1, padding=dilation // 2) >= threshold


def blocks(mask: Tensor, scale: int) -> Tensor:
    """A mask ``[B, 1, H, W]`` in the space of a codec, ``[B, 1, H / scale, W / scale]``: where any pixel is in."""
    return F.max_pool2d(mask.float(), scale) > 0


def repaint(chain: Chain, noised: Tensor, values: Tensor, inside: Tensor, noise: Callable[[], Tensor]) -> Tensor:
    """x_0 by steps down from x at the chain's deepest level that leave ``values`` outside a mask as they are.

    Before each step x outside the mask is replaced by ``values`` with the noise of its level (RePaint, arXiv
    2201.09865, algorithm 1, without going back).

    Args:
        noised: x ``[B, c, s, s]``. values: x_0 outside the mask. inside: the mask, ``[B, 1, s, s]`` of bool.
        noise: draws the standard normal noise ``[B, c, s, s]`` of a step.
    """
    for level in range(chain.depth, 0, -1):
        mixed = torch.where(inside, noised, chain.noised(values, noise(), level))
        clean = chain.clean(mixed, level)
        noised = clean if level == 1 else chain.step(mixed, clean, level, noise())
    return torch.where(inside, noised, values)
