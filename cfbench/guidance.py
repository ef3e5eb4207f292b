"""Directions in which a denoising is guided: gradients of a classifier held to those of somebody else."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

TINY = 1e-12
"""Shortest length by which a vector is divided."""


def length(vectors: Tensor) -> Tensor:
    """Euclidean norm of each of ``[B, c, s, s]``, as ``[B, 1, 1, 1]``."""
    out: Tensor = vectors.flatten(1).norm(dim=1)[:, None, None, None]
    return out


def unit(vectors: Tensor) -> Tensor:
    """Each of ``[B, c, s, s]`` at length 1; one of zeros stays."""
    return vectors / length(vectors).clamp_min(TINY)


def nearest_in_cone(vectors: Tensor, axes: Tensor, angle: float) -> Tensor:
    """The unit vector within ``angle`` of each axis that is nearest to a vector (DVCE, arXiv 2210.11841, section 3.3).

    It is the direction of the Euclidean projection on the cone around the axis wherever that is not 0.

    Args:
        vectors, axes: ``[B, c, s, s]``. angle: in degrees, 0 to 90.
    """
    widest = math.radians(angle)
    directions, axes = unit(vectors), unit(axes)
    along = (directions * axes).flatten(1).sum(1)[:, None, None, None]
    edges = math.cos(widest) * axes + math.sin(widest) * unit(directions - along * axes)
    return torch.where(along >= math.cos(widest), directions, edges)


def consensus(slopes: Tensor, others: Tensor, angle: float) -> Tensor:
    """``slopes`` at the positions where they lie within ``angle`` of others, 0 elsewhere (LDCE, arXiv 2310.06668).

    Args:
        slopes, others: ``[B, c, s, s]``, a vector of c values at each position. angle: in degrees, 0 to 180.
    """
    agreed = F.cosine_similarity(slopes, others, dim=1, eps=TINY) >= math.cos(math.radians(angle))
    return slopes * agreed[:, None]
