"""Figures of counterfactuals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
    difference = (counterfactual.int() - query.int()).float().mean(0).div(255).cpu().numpy()
    bound = max(float(abs(difference).max()), 1 / 255)
    drawn = axes[2].imshow(difference, cmap="RdBu_r", vmin=-bound, vmax=bound)
    _frame(axes[2], "difference")
    figure.colorbar(drawn, ax=axes[2], shrink=0.85)
    return figure


def contact_sheet(rows: Mapping[str, Tensor], *, title: str, columns: int) -> Figure:
    """Rows of images under one title, at their own pixels.

    Args:
        rows: 8-bit images ``[N, C, H, W]`` (C = 1 or 3) by the name of their row, of one shape, N at most ``columns``.
        title: above them all. columns: images a row that there is room for.
    """
    from matplotlib.figure import Figure

    channels, height, width = next(iter(rows.values())).shape[1:]
    gap = max(1, height // 16)
    sheet = torch.full((channels, len(rows) * (height + gap) - gap, columns * (width + gap) - gap), 255).byte()
    for row, images in enumerate(rows.values()):
        top = row * (height + gap)
        for column, image in enumerate(images):
            left = column * (width + gap)
            sheet[:, top : top + height, left : left + width] = image.cpu()
    inches = 0.6 * columns
    figure = Figure(figsize=(inches + 1.5, inches * sheet.shape[1] / sheet.shape[2] + 0.5), layout="constrained")
    axis = figure.subplots()
    axis.imshow(sheet.permute(1, 2, 0).numpy(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    _frame(axis, title)
    axis.set_yticks([row * (height + gap) + height / 2 for row in range(len(rows))], list(rows), fontsize=8)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return figure


def _frame(axis: Axes, title: str) -> None:
    axis.set_title(title, fontsize=9)
    axis.set_xticks([])
    axis.set_yticks([])
