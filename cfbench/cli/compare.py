"""``cfbench compare``: which of several methods is better, and is that more than chance?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfbench.cli.options import shown
from cfbench.markdown import number

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console


class Subset(StrEnum):
    """Which queries are compared."""

    all = "all"
    flipped = "flipped"


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs, of two methods or more.")],
    metrics: Annotated[str | None, typer.Option(help="Metrics, separated by commas; by default all.")] = None,
    subset: Annotated[Subset, typer.Option(help="flipped: only queries that both flipped.")] = Subset.all,
    out: Annotated[Path | None, typer.Option(help="Also write the table as CSV.")] = None,
) -> None:
    """Compare runs on the queries that they share: differences, intervals, corrected p-values, verdicts.

    Runs that differ only in their seed count as one method with several seeds. With one seed each, a difference holds
    for those seeds; with several, for new seeds as well.
    """
    from rich.console import Console

    from cfbench.comparison import compare as compare_groups
    from cfbench.comparison import group_runs
    from cfbench.files import write_text

    names = [name.strip() for name in metrics.split(",") if name.strip()] if metrics is not None else None
    table = compare_groups(group_runs(runs), metrics=names, subset=subset)
    if out is not None:
        write_text(out, table.to_csv(index=False))
    console = Console()
    for (a, b), rows in table.groupby(["a", "b"], sort=False):
        _print_pair(console, a, b, rows, subset)
    made = int(table["p_holm"].notna().sum())
    console.print(
        f"A better, B better: p < .05 after Holm's correction over {made} comparisons; intervals are 95 % each, "
        "uncorrected",
        soft_wrap=True,
    )
    if (table[["seeds_a", "seeds_b"]] == 1).any(axis=None):
        console.print("of one seed, a difference holds for that seed; evaluate --seeds 3 lets it hold for new ones")
    if (table["p_holm"].notna() & table["low"].isna()).any():
        console.print("no interval: of two seeds, below 50 queries, or where fewer than 30 differ either way")
    if out is not None:
        console.print(f"table: {shown(out)}", soft_wrap=True)
    options = [] if out is not None else ["--out compare.csv"]
    options += ["--subset flipped"] if subset is Subset.all else []
    again = " ".join(["cfbench compare", *map(shown, runs), *options]) if options else "cfbench list metrics NAME"
    console.print(f"next: {again}", soft_wrap=True, markup=False, highlight=False)


def _print_pair(console: Console, a: Any, b: Any, rows: pd.DataFrame, subset: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    first = rows.iloc[0]
    sides = [
        f"{side} = [bold]{escape(str(label))}[/bold] ({count} seed{'' if count == 1 else 's'})"
        for side, label, count in (("A", a, first["seeds_a"]), ("B", b, first["seeds_b"]))
    ]
    console.print(f"{', '.join(sides)}; {'all' if subset == 'all' else 'flipped'} shared queries", soft_wrap=True)
    table = Table("metric", "", "n", "A", "B", "A - B", "p (Holm)", "verdict", box=None, pad_edge=False)
    for row in rows.to_dict("records"):
        better = "↑" if row["better"] == "higher" else "↓"
        if row["p_holm"] != row["p_holm"]:
            table.add_row(f"[dim]{row['metric']}[/dim]", better, *[""] * 5, f"[dim]{escape(row['verdict'])}[/dim]")
            continue
        known = row["low"] == row["low"]
        interval = f"[dim]\\[{number(row['low'])}, {number(row['high'])}][/dim]" if known else ""
        table.add_row(
            f"[bold]{row['metric']}[/bold]",
            better,
            str(row["n"]),
            number(row["mean_a"]),
            number(row["mean_b"]),
            f"{number(row['difference'])} {interval}",
            f"{row['p_holm']:.2g}",
            row["verdict"],
        )
    console.print(table, "")
