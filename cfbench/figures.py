"""Figures of counterfactuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIVERGING = "RdBu_r"
"""Colours of signed differences: blue is darker, red brighter, white unchanged."""


def strip(query: Tensor, counterfactual: Tensor, *, titles: tuple[str, str]) -> Figure:
    """Query, counterfactual and their signed difference side by side.

    Args:
        query, counterfactual: 8-bit images ``[C, H, W]``, C = 1 or 3. titles: text above the two images.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 2.7), layout="constrained")
    axes = figure.subplots(1, 3)
    for axis, image, title in zip(axes, (query, counterfactual), titles, strict=False):
        pixels = image.permute(1, 2, 0).cpu().numpy()
        axis.imshow(pixels, cmap="gray", vmin=0, vmax=255)
        _frame(axis, title)
    change = signed_change(query, counterfactual)
    bound = max(float(change.abs().max()), 1 / 255)
    drawn = axes[2].imshow(change.numpy(), cmap=DIVERGING, vmin=-bound, vmax=bound)
    _frame(axes[2], "difference")
    figure.colorbar(drawn, ax=axes[2], shrink=0.85)
    return figure


def contact_sheet(
    rows: Mapping[str, Tensor],
    *,
    title: str,
    columns: int,
    captions: Sequence[str] = (),
    inches: float | None = None,
    fontsize: float = 8,
) -> Figure:
    """Rows of images under one title, at their own pixels.

    Args:
        rows: 8-bit images ``[N, C, H, W]`` (C = 1 or 3) by the name of their row, of one shape, N at most ``columns``.
        title: above them all. columns: images a row that there is room for. captions: text below each column.
        inches: width of the images of a row together, by default .6 a column. fontsize: of the rows' names.
    """
    figure, axis = _sheet(rows, title, columns, inches=inches, fontsize=fontsize)
    _caption(axis, next(iter(rows.values())), captions)
    return figure


def change_sheet(
    queries: Tensor, counterfactuals: Tensor, *, captions: Sequence[str], title: str, bound: float
) -> Figure:
    """Queries, their counterfactuals and the signed differences below each other, at their own pixels.

    Args:
        queries, counterfactuals: 8-bit images ``[N, C, H, W]``, C = 1 or 3. captions: text below each column.
        title: above them all. bound: mean difference of the channels, in (0, 1], at the ends of the colours' scale.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    norm, colours = Normalize(-bound, bound), colormaps[DIVERGING]
    coloured = torch.from_numpy(colours(norm(signed_change(queries, counterfactuals).numpy()), bytes=True)[..., :3])
    rows = {"query": queries, "counterfactual": counterfactuals, "difference": coloured.permute(0, 3, 1, 2)}
    in_colour = {name: images.cpu().expand(-1, 3, -1, -1) for name, images in rows.items()}
    figure, axis = _sheet(in_colour, title, len(captions), margins=(2.3, 0.9))
    _caption(axis, queries, captions)
    figure.colorbar(ScalarMappable(norm, colours), ax=axis, shrink=0.8, pad=0.01).ax.tick_params(labelsize=7)
    return figure


def signed_change(queries: Tensor, counterfactuals: Tensor) -> Tensor:
    """Mean difference of the channels of 8-bit images ``[..., C, H, W]``, in [-1, 1], ``[..., H, W]`` on the CPU."""
    return (counterfactuals.int() - queries.int()).float().mean(-3).div(255).cpu()


def _gap(images: Tensor) -> int:
    """Pixels between the images of a sheet."""
    return max(1, images.shape[2] // 16)


def _caption(axis: Axes, images: Tensor, captions: Sequence[str]) -> None:
    """Write text below the columns of a sheet of images of this shape."""
    width = images.shape[3]
    places = [column * (width + _gap(images)) + width / 2 for column in range(len(captions))]
    axis.set_xticks(places, captions, fontsize=6)


def _sheet(
    rows: Mapping[str, Tensor],
    title: str,
    columns: int,
    *,
    margins: tuple[float, float] = (1.5, 0.5),
    inches: float | None = None,
    fontsize: float = 8,
) -> tuple[Figure, Axes]:
    """A sheet and its axis; ``margins`` are inches beside and above or below the images."""
    from matplotlib.figure import Figure

    first = next(iter(rows.values()))
    channels, height, width = first.shape[1:]
    gap = _gap(first)
    sheet = torch.full((channels, len(rows) * (height + gap) - gap, columns * (width + gap) - gap), 255).byte()
    for row, images in enumerate(rows.values()):
        top = row * (height + gap)
        for column, image in enumerate(images):
            left = column * (width + gap)
            sheet[:, top : top + height, left : left + width] = image.cpu()
    inches = inches or 0.6 * columns
    size = inches + margins[0], inches * sheet.shape[1] / sheet.shape[2] + margins[1]
    figure = Figure(figsize=size, layout="constrained")
    axis = figure.subplots()
    axis.imshow(sheet.permute(1, 2, 0).numpy(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    _frame(axis, title)
    axis.set_yticks([row * (height + gap) + height / 2 for row in range(len(rows))], list(rows), fontsize=fontsize)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return figure, axis


def _frame(axis: Axes, title: str) -> None:
    axis.set_title(title, fontsize=9)
    axis.set_xticks([])
    axis.set_yticks([])
