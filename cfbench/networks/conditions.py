"""What conditional generators are given: a class, or weights of several classes or attributes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def as_weights(conditions: Tensor, count: int) -> Tensor:
    """Weights ``[B, count]`` of ``conditions``: classes ``[B]`` (int64), or already weights ``[B, count]``."""
    return F.one_hot(conditions, count).float() if conditions.ndim == 1 else conditions
