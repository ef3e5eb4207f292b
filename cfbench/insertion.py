"""Insertion of a counterfactual into its query, pixel by pixel, and the area under what the classifier says."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Network(Protocol):
    """Maps images ``[B, C, H, W]`` to logits ``[B, classes]``."""

    def __call__(self, images: Tensor, /) -> Tensor: ...


def insertion_curves(
    network: Network, queries: Tensor, made: Tensor, sizes: Tensor, classes: Tensor, *, step: int, batch: int = 100
) -> Tensor:
    """Probabilities while the pixels of ``made`` replace those of ``queries``, ``step`` more each time.

    Pixels go in by descending change; equal ones in reading order. Once all that change are in, the image is ``made``
    itself, so that no further pass is needed.

    Args:
        queries, made: ``[B, C, H, W]`` in [0, 1].
        sizes: how much each pixel changes, ``[B, H, W]``; whole levels, as rounded differences of floats hide ties.
        classes: whose probabilities, ``[B, K]``.
        step: pixels a step. batch: images a pass.

    Returns:
        ``[B, K, S + 1]``, S = ceil(H W / step), from the query to the counterfactual; float64.
    """
    count, channels = made.shape[:2]
    flat, base = made.flatten(2), queries.flatten(2)
    pixels = flat.shape[2]
    size = sizes.flatten(1)
    rank = size.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    steps = -(-pixels // step)
    needed = -(-(size > 0).sum(dim=1) // step)
    curves = torch.empty(count, steps + 1, classes.shape[1], dtype=torch.float64, device=made.device)
    image, at = torch.nonzero(torch.arange(steps + 1, device=made.device) <= needed[:, None], as_tuple=True)
    for images, ats in zip(image.split(batch), at.split(batch), strict=True):
        inserted = (rank[images] < (ats * step)[:, None])[:, None]
        mixed = torch.where(inserted, flat[images], base[images]).view(-1, channels, *made.shape[2:])
        curves[images, ats] = network(mixed).double().softmax(dim=1).gather(1, classes[images])
    last = torch.minimum(torch.arange(steps + 1, device=made.device), needed[:, None])
    return curves.gather(1, last[:, :, None].expand_as(curves)).movedim(1, 2)


def area(curves: Tensor, *, step: int, pixels: int) -> Tensor:
    """Area under curves ``[..., S + 1]`` over the share of pixels put in, by trapezoids; the last may be narrower."""
    shares = (torch.arange(curves.shape[-1], device=curves.device) * step).clamp(max=pixels) / pixels
    return torch.trapezoid(curves, shares.to(curves), dim=-1)


def area_equal_steps(curves: Tensor, *, step: int, pixels: int) -> Tensor:
    """The same with every step taken as wide as the first, also one that has fewer pixels left."""
    return torch.trapezoid(curves, dx=step / pixels, dim=-1)
