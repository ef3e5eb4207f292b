"""Text as LaTeX that shows it as it is."""

from __future__ import annotations

from cfbench.markdown import printable

_COMMANDS = {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    '"': "{\\char34}",
    "↑": "$\\uparrow$",
    "↓": "$\\downarrow$",
    "→": "$\\rightarrow$",
    "∞": "$\\infty$",
    "≈": "$\\approx$",
    "…": "\\dots{}",
    **{each: f"\\{each}" for each in "&%$#_{}"},
}

LATIN = 0x17F
"""Last of the letters that every LaTeX engine knows in UTF-8."""


def latex(text: str) -> str:
    """Text of others on one line as LaTeX; letters that LaTeX has no glyph for become question marks."""
    return "".join(_COMMANDS.get(each) or (each if ord(each) <= LATIN else "?") for each in printable(text))
