"""How a digit is written, apart from which it is: factors that are exact functions of its image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.images import dequantise

RANGES = {"thickness": (1.4, 4.3), "slant": (-0.5, 0.8), "width": (0.7, 5.9)}
"""What is mapped to 0 and to 1: about the 1st and the 99th percentile of training digits.

``thickness`` in pixels, ``slant`` in columns to the right per row upwards, ``width`` in columns.
"""
PART = 5000
"""Images a pass."""


def thickness(ink: Tensor) -> Tensor:
    """Twice the area over the length of the outline, ``[N]``, of ``ink`` ``[N, H, W]``: the width of a long stroke.

    The outline of a gray image is its total variation (co-area formula), so that faint strokes are no thinner.
    """
    padded = F.pad(ink, (1, 1, 1, 1))
    across = padded[:, :-1, 1:] - padded[:, :-1, :-1]
    down = padded[:, 1:, :-1] - padded[:, :-1, :-1]
    return 2 * ink.sum((1, 2)) / (across.square() + down.square()).sqrt().sum((1, 2))


def slant_and_width(ink: Tensor) -> tuple[Tensor, Tensor]:
    """Shear and deviation of columns about the sheared axis, each ``[N]``, of ``ink`` ``[N, H, W]``.

    With x to the right, y upwards and ink as the weight, the slant is cov(x, y) / var(y), as in moment-based deskewing,
    and the width the root of var(x) - cov(x, y)^2 / var(y): shearing moves the first alone, stretching scales both.
    """
    height, width = ink.shape[1:]
    rows, columns = -torch.arange(height, dtype=ink.dtype), torch.arange(width, dtype=ink.dtype)
    weights = ink / ink.sum((1, 2), keepdim=True)
    y = rows - (weights.sum(2) @ rows)[:, None]
    x = columns - (weights.sum(1) @ columns)[:, None]
    both = torch.einsum("nij,ni,nj->n", weights, y, x)
    upright = (weights.sum(2) * y.square()).sum(1)
    slant = both / upright
    return slant, ((weights.sum(1) * x.square()).sum(1) - both * slant).clamp(min=0).sqrt()


def style(images: Tensor) -> Tensor:
    """The factors ``RANGES`` of 8-bit digits ``[N, 1, H, W]``, ``[N, 3]`` in [0, 1]; NaN where an image has no ink."""
    parts = []
    for part in images[:, 0].split(PART):
        ink = dequantise(part)
        parts.append(torch.stack([thickness(ink), *slant_and_width(ink)], dim=1))
    low, high = torch.tensor(list(RANGES.values())).T
    return ((torch.cat(parts) - low) / (high - low)).clamp(0, 1)
