"""The table of a board, for a paper (LaTeX with booktabs) and for reading (Markdown, HTML)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from cfbench.board.rules import SECONDS
from cfbench.markdown import escaped, markdown_table
from cfbench.report.latex import latex
from cfbench.report.ranks import FLIPS
from cfbench.report.scene import CLOSENESS, Item, Scene

SECTIONS = {
    "ranked": "",
    "adversarial": "adversarial, not ranked",
    "reference": "references, not ranked",
    "unranked": "not ranked",
    "partial": "partial runs, not ranked",
}
"""Heads of the parts of a table by status."""


@dataclass(frozen=True)
class Cell:
    """A value in three digits and its interval in brackets, empty where there is none; whether it is in bold."""

    value: str
    interval: str = ""
    bold: bool = False


@dataclass(frozen=True)
class Line:
    """A row of a table: rank, name, cells, and the head of its part."""

    section: str
    rank: str
    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """The table of a board; ``notes`` say how to read it."""

    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: str

    @property
    def parts(self) -> list[tuple[str, list[Line]]]:
        """Lines that follow each other and have one status, with the head of their part."""
        return [(SECTIONS[section], list(lines)) for section, lines in groupby(self.lines, lambda line: line.section)]

    def markdown(self) -> str:
        """As Markdown."""
        rows = []
        for line in self.lines:
            cells = [f"{_starred(cell)} {escaped(cell.interval)}".strip() for cell in line.cells]
            rows.append([line.rank or f"*{SECTIONS[line.section].partition(',')[0]}*", escaped(line.name), *cells])
        return markdown_table(["rank", "method", *map(escaped, self.heads)], rows)

    def latex(self, label: str) -> str:
        """As a LaTeX table over two columns that needs booktabs; ``label`` is what it is referred to by."""
        out = [
            "% needs \\usepackage{booktabs}",
            "\\begin{table*}",
            "  \\centering",
            f"  \\caption{{{latex(self.notes)}}}",
            f"  \\label{{{label}}}",
            "  \\small",
            f"  \\begin{{tabular}}{{ll{'r' * len(self.heads)}}}",
            "    \\toprule",
            f"    rank & method & {' & '.join(map(latex, self.heads))} \\\\",
        ]
        for head, lines in self.parts:
            out.append("    \\midrule")
            if head:
                out.append(f"    \\multicolumn{{{len(self.heads) + 2}}}{{l}}{{\\emph{{{head}}}}} \\\\")
            for line in lines:
                cells = " & ".join(_latex_cell(cell) for cell in line.cells)
                out.append(f"    {line.rank.replace('-', '--')} & {latex(line.name)} & {cells} \\\\")
        return "\n".join([*out, "    \\bottomrule", "  \\end{tabular}", "\\end{table*}"]) + "\n"


def three_digits(value: float) -> str:
    """Three significant digits, also where the last ones are zeros; nothing is a plain 0."""
    return f"{value:#.3g}".rstrip(".") if value else "0"


def _starred(cell: Cell) -> str:
    return f"**{cell.value}**" if cell.bold else cell.value


def _latex_cell(cell: Cell) -> str:
    value = f"\\textbf{{{cell.value}}}" if cell.bold else cell.value
    return f"{value} {{\\scriptsize {cell.interval}}}" if cell.interval else value


def table_of(scene: Scene) -> Table:
    """The board's rows by status and rank, with the criteria that decide and the aggregate."""
    rules = scene.rules
    names = scene.scored(
        (rules.headline, FLIPS, *(name for name in rules.pareto if name != SECONDS), CLOSENESS, SECONDS)
    )
    with_interval = {rules.headline, CLOSENESS}
    lines = [_line(item, names, with_interval, rules.headline) for item in scene.items]
    notes = (
        f"{scene.question}. Means over all queries, failed ones counted as unchanged; 95 % intervals in brackets. "
        f"Ranks are those that paired, Holm-corrected tests of {scene.label(rules.headline)} leave open; in bold the "
        "rows that no other ranked row beats beyond chance. Blank: not scored."
    )
    return Table(tuple(scene.head(name) for name in names), tuple(lines), notes)


def _line(item: Item, names: Sequence[str], with_interval: set[str], headline: str) -> Line:
    rank = item.row.rank
    cells = []
    for name in names:
        found = item.estimate(name)
        interval = ""
        if found and found.interval and name in with_interval:
            interval = f"[{three_digits(found.interval[0])}, {three_digits(found.interval[1])}]"
        is_best = name == headline and rank is not None and rank[0] == 1
        cells.append(Cell(three_digits(found.value) if found else "", interval, bool(found) and is_best))
    shown = "" if rank is None else str(rank[0]) if rank[0] == rank[1] else f"{rank[0]}-{rank[1]}"
    name = item.label
    if item.row.status == "partial":
        queries = item.row.record.queries
        name += f" ({queries.done:,} of {queries.expected:,})"
    return Line(item.row.status, shown, name, tuple(cells))
