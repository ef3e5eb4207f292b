"""What is known of synthetic images: factors that can be read, set, and counterfactuals that are true."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Truth(Protocol):
    """The renderer of a data set, as ground-truth metrics use it.

    Attributes:
        factors: names of the factors. scales: range of each factor, by which changes are divided, ``[F]``.
        target_factors: indices of the factors that define the class.
        confounder: index of a factor that correlates with the class without defining it, if there is one.
    """

    factors: tuple[str, ...]
    scales: Tensor
    target_factors: tuple[int, ...]
    confounder: int | None

    def read(self, images: Tensor) -> Tensor:
        """Factors ``[B, F]`` of 8-bit images ``[B, C, H, W]``: exact for rendered ones, else of the nearest."""

    def labels(self, factors: Tensor) -> Tensor:
        """Class ``[B]`` of factors ``[B, F]``."""

    def minimal(self, images: Tensor, targets: Tensor) -> Tensor:
        """The rendered images, 8-bit, that differ from ``images`` only in what makes them of class ``targets``."""
