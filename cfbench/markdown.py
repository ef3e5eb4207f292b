"""Numbers and tables in text."""

from __future__ import annotations

from collections.abc import Sequence


def number(value: float | None) -> str:
    """Three significant digits, or a dash where there is none."""
    return "-" if value is None else f"{value:.3g}"


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with a line feed at its end."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
