"""How rows look: the same method has the same colour and marker in all figures of a report."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN = 3.4
"""Inches of a column of a paper."""

DPI = 220

SMALL = 6.0
"""Points of names of rows and of ticks."""

COLOURS = (0, 1, 2, 3, 4, 9)
"""Of seaborn's palette ``colorblind``: all but those that are too pale, brown beside orange, and grey."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", "*", ">")
"""Their number and that of the colours have no common divisor, so that pairs repeat after 66 methods."""

REFERENCE = "#555555"
PALE = "#aaaaaa"
"""Of reference rows that are partial, as lines cannot be hollow."""

REFERENCES = ("x", "1", (6, 2, 0), "2", (8, 2, 0), "3", (5, 2, 0), "4")
"""Markers of reference rows: lines, none of which could be taken for an interval."""

Fill = Literal["full", "left", "right", "top", "bottom"]
FILLS: tuple[Fill, ...] = ("full", "left", "right", "top", "bottom")
"""How the markers of a method's settings are filled."""

SIZES = (4.5, 3.2)
"""Points of markers; those of a method's settings are smaller once all fills are taken."""


@dataclass(frozen=True)
class Style:
    """Colour and marker of a row; partial rows are hollow."""

    colour: str
    marker: str | tuple[int, int, int]
    fill: Fill
    size: float
    hollow: bool

    @property
    def marks(self) -> dict[str, Any]:
        """Properties of the line that draws its marker alone."""
        return {
            "linestyle": "none",
            "marker": self.marker,
            "color": self.colour,
            "markeredgecolor": self.colour,
            "markeredgewidth": 0.9,
            "markersize": self.size,
            "markerfacecolor": "white" if self.hollow else self.colour,
            "markerfacecoloralt": "white",
            "fillstyle": self.fill,
        }


class Palette:
    """Styles of methods.

    Args:
        methods: names of methods, each with whether it is a reference row; the order does not matter.
    """

    def __init__(self, methods: Iterable[tuple[str, bool]]) -> None:
        import seaborn

        kinds = sorted(set(methods))
        colours = [seaborn.color_palette("colorblind").as_hex()[index] for index in COLOURS]
        own = [kind for kind in kinds if not kind[1]]
        self._looks: Mapping[tuple[str, bool], tuple[str, str | tuple[int, int, int]]] = {
            kind: (colours[at % len(colours)], MARKERS[at % len(MARKERS)]) for at, kind in enumerate(own)
        } | {
            kind: (REFERENCE, REFERENCES[at % len(REFERENCES)])
            for at, kind in enumerate(kind for kind in kinds if kind[1])
        }

    def style(self, method: str, is_reference: bool, *, setting: int = 0, hollow: bool = False) -> Style:
        """The style of a row; ``setting`` counts the settings of the method on its board."""
        size = SIZES[setting // len(FILLS) % len(SIZES)]
        colour, marker = self._looks[method, is_reference]
        if is_reference and hollow:
            colour = PALE
        return Style(colour, marker, FILLS[setting % len(FILLS)], size, hollow)


def settle(figure: Figure) -> None:
    """Lay a figure out once for all its files, without ligatures: each would be looked up and embedded as a font."""
    from matplotlib.text import Text

    figure.set_dpi(DPI)
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    figure.set_layout_engine("none")
    for text in figure.findobj(Text):
        if hasattr(text, "set_fontfeatures"):  # since Matplotlib 3.11, which is the first that has ligatures
            text.set_fontfeatures(("-liga",))


@contextmanager
def theme() -> Iterator[None]:
    """Draw and save as a paper in two columns needs it: small type that stays legible, type that can be searched."""
    import matplotlib
    import seaborn

    sizes = ("axes.labelsize", "axes.titlesize", "font.size", "legend.title_fontsize")
    settings = seaborn.axes_style("ticks") | dict.fromkeys(sizes, 7.0)
    settings |= dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), SMALL)
    settings |= {
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],
        "axes.linewidth": 0.6,
        "axes.titlepad": 3.0,
        "axes.labelpad": 2.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.linewidth": 0.4,
        "grid.color": "#dddddd",
        "legend.frameon": False,
        "pdf.fonttype": 42,
    }
    for side in ("xtick", "ytick"):
        settings |= {f"{side}.major.width": 0.6, f"{side}.major.size": 2.0, f"{side}.major.pad": 1.5}
        settings |= {f"{side}.minor.width": 0.4, f"{side}.minor.size": 1.2}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
