"""The renderer of coloured shapes on textured grounds, and its exact inverse.

Every factor lies on a small grid, so that reading an image is a search over all renderings: the ground is found in a
frame that no object reaches, then the object by least squares over all shapes, sizes, places and hues at once.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.images import quantise

SIDE = 32
SHAPES = ("disc", "square", "triangle", "cross")
HUES = 8
SIZES = (5.0, 6.0, 7.0, 8.0)
PLACES = tuple(float(place) for place in range(11, 21))
TEXTURES = ("rows", "columns", "diagonals")
PHASES = 8

FRAME = 2
"""Pixels at each edge that no object reaches."""
MARK = 4
"""Side of the white mark in the lower right corner, which no object reaches either."""
PERIOD = 8.0
GRAY, CONTRAST = 0.35, 0.15
SATURATION, VALUE = 0.8, 0.95
LAST_HUE = 0.75
"""Hues run from red (0) to violet: short of the whole circle, so that they have an order."""


def signed_distance(shape: int, x: Tensor, y: Tensor, size: Tensor) -> Tensor:
    """Distance in pixels from the outline of a shape centred at 0, negative inside; y points down."""
    across, along = x.abs(), y.abs()
    match SHAPES[shape]:
        case "disc":
            return (x.square() + y.square()).sqrt() - 0.95 * size
        case "square":
            return torch.maximum(across, along) - 0.85 * size
        case "triangle":
            return torch.maximum(y, math.sqrt(0.75) * across - 0.5 * y) - 0.575 * size
        case _:
            wide = torch.maximum(across - size, along - 0.35 * size)
            tall = torch.maximum(across - 0.35 * size, along - size)
            return torch.minimum(wide, tall)


def colours(hues: Tensor) -> Tensor:
    """RGB in [0, 1] ``[..., 3]`` of hues in [0, 1] at fixed saturation and value (Smith's HSV hexcone)."""
    offsets = torch.tensor([5.0, 3.0, 1.0])
    k = (offsets + 6 * hues[..., None]) % 6
    return VALUE * (1 - SATURATION * torch.minimum(k, 4 - k).clamp(0, 1))


def grounds(textures: Tensor, phases: Tensor) -> Tensor:
    """Gray waves ``[B, 1, 32, 32]``; phases count eighths of a period."""
    down, right = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    ramps = torch.stack([down, right, down + right]).float()[textures.long()]
    angle = 2 * math.pi * (ramps / PERIOD + phases.view(-1, 1, 1) / PHASES)
    return (GRAY + CONTRAST * angle.sin())[:, None]


class Renderer:
    """Images of one shape each; the class is the shape. See :class:`cfbench.truth.Truth`.

    Args:
        marked: add a factor ``mark``: a white square in the corner, there (1) or not (0).
    """

    target_factors = (0,)

    def __init__(self, *, marked: bool = False) -> None:
        grids = {
            "shape": range(len(SHAPES)),
            "hue": [LAST_HUE * step / (HUES - 1) for step in range(HUES)],
            "size": SIZES,
            "x": PLACES,
            "y": PLACES,
            "texture": range(len(TEXTURES)),
            "phase": range(PHASES),
        }
        if marked:
            grids["mark"] = range(2)
        self.marked = marked
        self.factors = tuple(grids)
        self.confounder = self.factors.index("mark") if marked else None
        self.grids = [torch.tensor(list(grid), dtype=torch.float32) for grid in grids.values()]
        self.scales = torch.stack([grid[-1] - grid[0] for grid in self.grids])
        self.categorical = torch.tensor([name in ("shape", "texture") for name in grids])

    @property
    def combinations(self) -> int:
        """Number of different images."""
        return math.prod(map(len, self.grids))

    def numbered(self, numbers: Tensor) -> Tensor:
        """Factors ``[B, F]`` of the combinations ``numbers`` ``[B]``, which count the grids like digits."""
        columns = []
        for grid in reversed(self.grids):
            columns.append(grid[numbers % len(grid)])
            numbers = numbers // len(grid)
        return torch.stack(columns[::-1], dim=1)

    def labels(self, factors: Tensor) -> Tensor:
        """The shape, ``[B]`` int64."""
        return factors[:, 0].long()

    def render(self, factors: Tensor) -> Tensor:
        """8-bit images ``[B, 3, 32, 32]``; values between those of the grids are rendered as exactly.

        Raises:
            InvalidParameter: a factor is outside its range, or a category between two.
        """
        for name, grid, values, whole in zip(self.factors, self.grids, factors.T, self.categorical, strict=True):
            outside = (values < grid[0]) | (values > grid[-1]) | (whole & (values != values.round()))
            if outside.any():
                kind = "a whole number" if whole else "a number"
                wanted = f"{kind} from {grid[0]:g} to {grid[-1]:g}"
                raise InvalidParameter(f"factor {name} is {values[outside][0]:g}, expected {wanted}")
        ground = grounds(factors[:, 5], factors[:, 6])
        cover = self._cover(factors[:, 0], factors[:, 2], factors[:, 3], factors[:, 4])[:, None]
        images = ground + cover * (colours(factors[:, 1])[..., None, None] - ground)
        if self.marked:
            mark = torch.zeros(SIDE, SIDE)
            mark[-MARK:, -MARK:] = 1
            amount = factors[:, 7, None, None, None] * mark
            images = images + amount * (1 - images)
        return quantise(images)

    def _cover(self, shapes: Tensor, sizes: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
        """Share of each pixel that the object covers, ``[B, 32, 32]``; edges are one pixel soft."""
        pixels = torch.arange(SIDE, dtype=torch.float32)
        x = pixels.view(1, 1, SIDE) - xs.view(-1, 1, 1)
        y = pixels.view(1, SIDE, 1) - ys.view(-1, 1, 1)
        x, y = torch.broadcast_tensors(x, y)
        cover = torch.empty(x.shape)
        for shape in range(len(SHAPES)):
            chosen = shapes == shape
            cover[chosen] = (0.5 - signed_distance(shape, x[chosen], y[chosen], sizes[chosen].view(-1, 1, 1))).clamp(
                0, 1
            )
        return cover

    @cached_property
    def _grounds(self) -> tuple[Tensor, Tensor]:
        """Every texture and phase ``[G, 2]`` and its ground ``[G, 1024]``."""
        pairs = torch.cartesian_prod(self.grids[5], self.grids[6])
        return pairs, quantise(grounds(pairs[:, 0], pairs[:, 1])).float().div(255).flatten(1)

    @cached_property
    def _covers(self) -> tuple[Tensor, Tensor]:
        """Every shape, size, x and y ``[M, 4]`` and its cover ``[M, 1024]``."""
        rows = torch.cartesian_prod(self.grids[0], self.grids[2], self.grids[3], self.grids[4])
        return rows, self._cover(*rows.T).flatten(1)

    def read(self, images: Tensor) -> Tensor:
        """Factors ``[B, F]`` of 8-bit images ``[B, 3, 32, 32]``; see :class:`cfbench.truth.Truth`.

        The ground is the nearest one on the frame; given it, shape, hue, size and place are the nearest of all.
        """
        return torch.cat([self._read(part) for part in images.split(100)])

    def _read(self, images: Tensor) -> Tensor:
        pixels = images.float().div(255).flatten(2)
        frame = torch.ones(SIDE, SIDE, dtype=torch.bool)
        frame[FRAME:-FRAME, FRAME:-FRAME] = False
        corner = torch.zeros(SIDE, SIDE, dtype=torch.bool)
        corner[-MARK:, -MARK:] = True
        seen, corner = (frame & ~corner).flatten(), corner.flatten()

        pairs, all_grounds = self._grounds
        best = torch.cdist(pixels[:, :, seen].mean(1), all_grounds[:, seen]).argmin(1)
        ground = all_grounds[best][:, None]

        rows, covers = self._covers
        palette = colours(self.grids[1])
        away = (palette[None, :, :, None] - ground[:, None]).masked_fill(corner, 0)
        gain = torch.einsum("bhcp,bcp->bhp", away, pixels - ground) @ covers.T
        cost = away.square().sum(2) @ covers.square().T
        index = (cost - 2 * gain).flatten(1).argmin(1)
        objects = rows[index % len(rows)]
        hues = self.grids[1][index // len(rows)]
        columns = [objects[:, 0], hues, *objects[:, 1:].T, *pairs[best].T]
        if self.marked:
            level = pixels[:, :, corner].mean(1)
            plain = ground[:, 0, corner]
            columns.append(((level - 1).square().sum(1) < (level - plain).square().sum(1)).float())
        return torch.stack(columns, dim=1)

    def objects(self, images: Tensor) -> Tensor:
        """Pixels more than half covered by the shape, bool ``[B, 32, 32]``; see :class:`cfbench.objects.Objects`."""
        factors = self.read(images)
        return self._cover(factors[:, 0], *factors[:, 2:5].T) > 0.5

    def minimal(self, images: Tensor, targets: Tensor) -> Tensor:
        """The same images with another shape, 8-bit ``[B, 3, 32, 32]``."""
        factors = self.read(images)
        factors[:, 0] = targets.to(factors.dtype)
        return self.render(factors)
