"""The toy task with a renderer: bright squares without noise, whose place and row can be read and set."""

from __future__ import annotations

import torch
from torch import Tensor

from cfbench.testing.toy import SIDE, Toy

GROUND, BRIGHT = 38, 191


class SquareRenderer:
    """Renders ``[B, 1, 12, 12]``: a bright square at the left, middle or right (its class), at one of eight rows."""

    factors = ("place", "row")
    scales = torch.tensor([2.0, 7.0])
    categorical = torch.tensor([True, False])
    target_factors = (0,)
    confounder = None

    def render(self, factors: Tensor) -> Tensor:
        images = torch.full((len(factors), 1, SIDE, SIDE), GROUND, dtype=torch.uint8)
        for image, (place, row) in zip(images, factors.int().tolist(), strict=True):
            image[:, row : row + 4, 4 * place : 4 * place + 4] = BRIGHT
        return images

    def read(self, images: Tensor) -> Tensor:
        grid = torch.cartesian_prod(torch.arange(3.0), torch.arange(8.0))
        flat = [part.flatten(1).double() for part in (images, self.render(grid))]
        return grid[torch.cdist(*flat, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1)]

    def labels(self, factors: Tensor) -> Tensor:
        return factors[:, 0].long()

    def minimal(self, images: Tensor, targets: Tensor) -> Tensor:
        factors = self.read(images)
        factors[:, 0] = targets.float()
        return self.render(factors)


class Rendered(Toy):
    """The toy task, its truth known."""

    truth = SquareRenderer()
