"""A renderer of coloured squares that knows the truth of its images: shape, place, brightness, a mark."""

from __future__ import annotations

import torch
from torch import Tensor

SIDE = 16
SIZE = 6
LEVELS = (120, 160, 200, 240)
PLACES = range(2, 9)
MARK = 90


class Squares:
    """Renders ``[B, 3, 16, 16]`` images: a full square (class 0) or a frame (class 1), and a mark in a corner.

    Factors are the class, the column of the left edge (2 to 8), the level of the red channel (120 to 240; the other
    two are half of it) and whether the mark is there, which the class does not need.
    """

    factors = ("shape", "column", "brightness", "mark")
    scales = torch.tensor([1.0, 6.0, 120.0, 1.0])
    categorical = torch.tensor([True, False, False, True])
    target_factors = (0,)

    def __init__(self, *, confounder: bool = True) -> None:
        self.confounder = 3 if confounder else None
        grid = torch.cartesian_prod(
            torch.arange(2.0),
            torch.tensor([float(place) for place in PLACES]),
            torch.tensor([float(level) for level in LEVELS]),
            torch.arange(2.0),
        )
        self._grid = grid
        self._images = self.render(grid)

    def render(self, factors: Tensor) -> Tensor:
        """8-bit images of factors ``[B, 4]``."""
        images = torch.zeros(len(factors), 3, SIDE, SIDE, dtype=torch.uint8)
        for image, (shape, column, level, mark) in zip(images, factors.int().tolist(), strict=True):
            colour = torch.tensor([level, level // 2, level // 2], dtype=torch.uint8)[:, None, None]
            image[:, 5 : 5 + SIZE, column : column + SIZE] = colour
            if shape == 1:
                image[:, 7 : 3 + SIZE, column + 2 : column + SIZE - 2] = 0
            if mark:
                image[:, :2, :2] = MARK
        return images

    def read(self, images: Tensor) -> Tensor:
        """Factors of the nearest rendering."""
        flat = [part.flatten(1).double() for part in (images, self._images)]
        nearest = torch.cdist(*flat, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1)
        return self._grid[nearest]

    def labels(self, factors: Tensor) -> Tensor:
        return factors[:, 0].long()

    def minimal(self, images: Tensor, targets: Tensor) -> Tensor:
        """The same square in the other shape."""
        factors = self.read(images).clone()
        factors[:, 0] = targets.float()
        return self.render(factors)
