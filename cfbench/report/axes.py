"""Parts that figures share: marks with intervals, axes of rows, legends."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cfbench.report.scene import Estimate, Item
from cfbench.report.style import COLUMN, REFERENCE, SMALL, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.125
"""Inches of a row of an axis of rows."""

CHARACTERS = 72
"""Characters of small type that the width of a figure has room for."""


def wrapped(text: str, width: int) -> str:
    """Text for Matplotlib as it is, on lines of a width."""
    return verbatim("\n".join(textwrap.wrap(text, width)))


def verbatim(text: str) -> str:
    """Text that Matplotlib shows as it is, without taking dollar signs for mathematics."""
    return text.replace("$", r"\$")


def mark(axis: Axes, style: Style, x: Estimate, y: Estimate) -> None:
    """Draw a point with its intervals, which need not lie about it: those of set distances are bias-corrected."""
    bars: dict[str, Any] = {"color": style.colour, "linewidth": 0.9, "zorder": 2, "solid_capstyle": "butt"}
    if x.interval:
        axis.plot(x.interval, (y.value, y.value), **bars)
    if y.interval:
        axis.plot((x.value, x.value), y.interval, **bars)
    axis.plot([x.value], [y.value], zorder=3, **style.marks)


def name_rows(axis: Axes, items: Sequence[Item]) -> None:
    """Have an axis show rows from top to bottom, references in grey."""
    axis.set_yticks(range(len(items)), [verbatim(item.label) for item in items], fontsize=SMALL)
    for tick, item in zip(axis.get_yticklabels(), items, strict=True):
        if item.is_reference:
            tick.set_color(REFERENCE)
    axis.set_ylim(len(items) - 0.4, -0.6)
    axis.grid(axis="y")
    axis.set_axisbelow(True)
    axis.tick_params(axis="y", length=0)


def add_legend(figure: Figure, items: Sequence[Item]) -> None:
    """Name the rows below the figure."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **item.style.marks, label=verbatim(item.name)) for item in items]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=legend_columns(items),
        handletextpad=0.2,
        columnspacing=0.8,
        borderaxespad=0.2,
        labelspacing=0.3,
    )


def legend_columns(items: Sequence[Item]) -> int:
    """Columns of a legend that the width of a figure has room for, each as wide as its longest name."""
    widths = [len(item.name) + 5 for item in items]
    for columns in range(4, 1, -1):
        down = -(-len(widths) // columns)
        if sum(max(widths[at : at + down]) for at in range(0, len(widths), down)) <= CHARACTERS:
            return columns
    return 1


def legend_height(items: Sequence[Item]) -> float:
    """Inches that the legend of rows takes."""
    return 0.11 * -(-len(items) // legend_columns(items)) + 0.1


def new_figure(height: float, width: float = COLUMN) -> Figure:
    """An empty figure of a column's width."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    return Figure(figsize=(width, height), layout=layout)
