"""Figures of counterfactuals."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def _frame(axis: Axes, title: str) -> None:
    axis.set_title(title, fontsize=9)
    axis.set_xticks([])
    axis.set_yticks([])
