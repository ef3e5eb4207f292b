"""Random changes of pictures without up and down, beyond turning and mirroring them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn images ``[B, C, S, S]`` by up to 45 degrees, zoom out by up to 5 and in by up to 25 %, move by up to 5 %.

    What comes in at the borders is mirrored.
    """
    count = len(images)
    angle = (torch.rand(count, generator=generator).to(images.device) - 0.5) * math.pi / 2
    zoom = torch.rand(count, generator=generator).to(images.device) * 0.3 + 0.75
    shift = torch.rand(count, 2, generator=generator).to(images.device) * 0.2 - 0.1
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    rows = [torch.stack([cosine, -sine, shift[:, 0]], 1), torch.stack([sine, cosine, shift[:, 1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def recolour(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change contrast by up to 20 %, brightness by up to 0.1 and each channel by up to 10 %, within [0, 1]."""
    count, channels = images.shape[:2]
    contrast = torch.rand(count, 1, 1, 1, generator=generator).to(images.device) * 0.4 + 0.8
    brightness = torch.rand(count, 1, 1, 1, generator=generator).to(images.device) * 0.2 - 0.1
    gain = torch.rand(count, channels, 1, 1, generator=generator).to(images.device) * 0.2 + 0.9
    mean = images.mean((1, 2, 3), keepdim=True)
    return (((images - mean) * contrast + mean + brightness) * gain).clamp(0, 1)
