"""How records are shown in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from cfbench.record import Record, Score


def number(value: float | None) -> str:
    """Four significant digits, or a dash where there is none."""
    return "-" if value is None else f"{value:.4g}"


def _cell(score: Score | None) -> str:
    if score is None or score.value is None:
        return "-"
    interval = f" [dim]\\[{number(score.ci95[0])}, {number(score.ci95[1])}][/dim]" if score.ci95 else ""
    return f"{number(score.value)}{interval}"


def score_table(record: Record) -> Table:
    """Every score of a record: over all queries, over the flipped ones, beside its floor."""
    from rich.table import Table

    from cfbench.registry import METRICS

    n = record.queries.requested
    table = Table("metric", "", f"all ({n})", "flipped only", "floor", box=None, pad_edge=False)
    for name, scores in record.scores.items():
        whole, flipped = scores.get("all"), scores.get("flipped")
        better = "↑" if METRICS.load(name).direction == "higher" else "↓"
        if whole is not None and whole.value is None:
            table.add_row(f"[dim]{name}[/dim]", better, f"[dim]blank: {_brief(whole.reason)}[/dim]")
        else:
            floor = number(whole.floor) if whole and whole.floor is not None else ""
            table.add_row(f"[bold]{name}[/bold]", better, _cell(whole), _cell(flipped) if flipped else "", floor)
    return table


def _brief(reason: str | None) -> str:
    text = reason or ""
    return text if len(text) <= 70 else f"{text[:30]} ... {text[-36:]}"


def summary(record: Record) -> str:
    """One line on status, counts and cost."""
    queries, cost = record.queries, record.cost
    failed = f", {queries.failed} failed" if queries.failed else ""
    return (
        f"{record.status}: {queries.done} of {queries.expected} queries{failed}; "
        f"{cost.seconds_per_query * 1000:.1f} ms, {cost.forwards / max(queries.done, 1):.0f} forwards and "
        f"{cost.backwards / max(queries.done, 1):.0f} backwards a query; setup {cost.setup_seconds:.1f} s; "
        f"peak {number(cost.peak_mb)} MB on {cost.device}"
    )
