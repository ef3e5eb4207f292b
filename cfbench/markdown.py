"""Numbers and tables in text."""

from __future__ import annotations

from collections.abc import Sequence

_ENTITIES = {ord(each): f"&#{ord(each)};" for each in "&<>|`\\"}
_BACKSLASHED = {ord(each): f"\\{each}" for each in "*_[]#~$"}


def printable(text: str) -> str:
    """``text`` on one line, without the codes by which text of others could control a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


def number(value: float | None) -> str:
    """Three significant digits, or a dash where there is none."""
    return "-" if value is None else f"{value:.3g}"


def escaped(text: str) -> str:
    """Text of others on one line as Markdown that shows it as it is."""
    return printable(text).translate(_ENTITIES | _BACKSLASHED)


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with a line feed at its end."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
