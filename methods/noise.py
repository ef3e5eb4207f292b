"""Sentinel: change without purpose."""

from __future__ import annotations

from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.method import Method


class Noise(Method):
    """Add uniform noise of the l-infinity norm that ``pgd`` may use: as far as an attack, without a flip.

    Args:
        epsilon: largest change of a pixel, above 0 and at most 1.
    """

    name = "noise"
    family = "sentinel"
    citation = "none; a reference row of cfbench"
    batch_size = 250

    def __init__(self, *, epsilon: float = 0.07) -> None:
        if not 0 < epsilon <= 1:
            raise InvalidParameter(f"epsilon is {epsilon}; expected a number above 0 and at most 1")
        self.epsilon = epsilon

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        return (images + self.random.uniform(*images.shape[1:], low=-self.epsilon, high=self.epsilon)).clamp(0, 1)
