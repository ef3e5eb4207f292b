"""Styles of rows, and text for LaTeX."""

from __future__ import annotations

import itertools

import pytest

from cfbench.report.latex import latex
from cfbench.report.style import Palette

METHODS = [f"method-{index:02d}" for index in range(60)]


def test_methods_are_told_apart_by_colour_and_marker() -> None:
    palette = Palette([*((name, False) for name in METHODS), ("pgd", True), ("truth", True)])
    styles = [palette.style(name, False) for name in METHODS]
    assert len({(style.colour, style.marker) for style in styles}) == len(METHODS)
    references = [palette.style(name, True) for name in ("pgd", "truth")]
    assert references[0].marker != references[1].marker
    assert {each.colour for each in references}.isdisjoint({style.colour for style in styles})
    for first, second in itertools.pairwise(styles):
        assert first.colour != second.colour
        assert first.marker != second.marker


def test_colours_are_visible_on_white() -> None:
    """By the relative luminance of WCAG 2; a pale yellow has 0.9."""
    palette = Palette((name, False) for name in METHODS[:6])

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert max(luminance(palette.style(name, False).colour) for name in METHODS[:6]) < 0.5


def test_settings_share_colour_and_marker_and_differ_otherwise() -> None:
    palette = Palette([("mine", False)])
    styles = [palette.style("mine", False, setting=setting) for setting in range(10)]
    assert len({(style.colour, style.marker) for style in styles}) == 1
    assert len({(style.fill, style.size) for style in styles}) == 10
    assert palette.style("mine", False, hollow=True).marks["markerfacecolor"] == "white"


def test_a_palette_does_not_depend_on_the_order() -> None:
    kinds = [(name, False) for name in METHODS]
    assert Palette(kinds).style("method-07", False) == Palette(reversed(kinds)).style("method-07", False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("100% of a_b & c#1 {x} $y$", "100\\% of a\\_b \\& c\\#1 \\{x\\} \\$y\\$"),
        ("\\input{x}", "\\textbackslash{}input\\{x\\}"),
        ("a~b^c<d>e|f", "a\\textasciitilde{}b\\textasciicircum{}c\\textless{}d\\textgreater{}e\\textbar{}f"),
        ("L∞ ↓", "L$\\infty$ $\\downarrow$"),
        ("Müller 漢字\n\x07", "Müller ??  "),
    ],
)
def test_latex_shows_text_as_it_is(text: str, shown: str) -> None:
    assert latex(text) == shown
