"""How far feature maps are from those that they should match."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _MeanSquare(torch.autograd.Function):
    """Keeps the difference, so that each way is one pass over it, whatever the layout in memory."""

    @staticmethod
    def forward(context: Any, have: Tensor, want: Tensor) -> Tensor:
        difference = have - want
        context.save_for_backward(difference)
        norms: Tensor = torch.linalg.vector_norm(difference, dim=tuple(range(1, difference.dim())))
        return norms.square_().div_(difference[0].numel())

    @staticmethod
    def backward(context: Any, slope: Tensor) -> tuple[Tensor, None]:
        (difference,) = context.saved_tensors
        factors = slope * (2 / difference[0].numel())
        return difference * factors.view(-1, *[1] * (difference.dim() - 1)), None


def mean_square(have: Tensor, want: Tensor) -> Tensor:
    """Mean squared difference of each image, ``[B]``, of two ``[B, ...]``; ``want`` gets no gradient."""
    distances: Tensor = _MeanSquare.apply(have, want)
    return distances
