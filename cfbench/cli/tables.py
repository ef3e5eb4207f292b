"""How records are shown in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cfbench.markdown import number

if TYPE_CHECKING:
    from rich.console import Console

    from cfbench.record import Record, Score


def _cell(score: Score | None, count: int) -> str:
    """Value, bias-corrected value after ``≈`` if there is one, interval, and n where it is not ``count``."""
    if score is None:
        return ""
    if score.value is None:
        return f"[dim]- (n = {score.n})[/dim]"
    corrected = "" if score.corrected is None else f" [dim]≈ {number(score.corrected)}[/dim]"
    interval = f" [dim]\\[{number(score.ci95[0])}, {number(score.ci95[1])}][/dim]" if score.ci95 else ""
    n = "" if score.n == count else f" [dim]n = {score.n}[/dim]"
    return f"{number(score.value)}{corrected}{interval}{n}"


def print_record(console: Console, record: Record) -> None:
    """Scores over all queries and over the flipped ones beside their floor, what is blank and why, counts and cost."""
    from rich.markup import escape
    from rich.table import Table

    from cfbench.metrics.base import FAMILIES
    from cfbench.registry import metric_of

    metrics = {key: metric_of(key) for key in record.scores}
    order = sorted(metrics, key=lambda name: FAMILIES.index(metrics[name].family))
    counts = {"all": record.queries.requested}
    counts["flipped"] = max(
        (subsets["flipped"].n for subsets in record.scores.values() if "flipped" in subsets), default=0
    )
    heads = (f"all ({counts['all']})", f"flipped only ({counts['flipped']})")
    table = Table("metric", "", *heads, "floor", box=None, pad_edge=False)
    blank: dict[str, list[str]] = {}
    further: set[str] = set()
    for name in order:
        subsets = record.scores[name]
        protocol = metrics[name].protocol
        if protocol and protocol not in record.protocols:
            further.add(protocol)
            continue
        first = next(iter(subsets.values()))
        if all(score.value is None for score in subsets.values()):
            blank.setdefault(first.reason or "", []).append(name)
            continue
        better = "↑" if metrics[name].direction == "higher" else "↓"
        floor = "" if first.floor is None else number(first.floor)
        cells = [_cell(subsets.get(subset), count) for subset, count in counts.items()]
        table.add_row(f"[bold]{escape(name)}[/bold]", better, *cells, floor)
    console.print(
        f"[bold]{record.key.method}[/bold] on {record.key.task}, targets {record.key.targets}, seed {record.key.seed}"
    )
    console.print(table)
    for reason, keys in blank.items():
        console.print(f"[dim]blank, {escape(reason)}: {escape(', '.join(keys))}[/dim]", soft_wrap=True)
    if further and record.cost:
        console.print(
            f"[dim]not run: protocols {', '.join(sorted(further))} (evaluate --protocol)[/dim]", soft_wrap=True
        )
    console.print(_summary(record), soft_wrap=True)


def _summary(record: Record) -> str:
    queries, cost = record.queries, record.cost
    failed = f", {queries.failed} failed" if queries.failed else ""
    if cost is None:
        return f"{record.status}: {queries.done} images made elsewhere{failed}"
    done = max(queries.done, 1)
    peak = "?" if cost.peak_mb is None else f"{cost.peak_mb:.0f}"
    return (
        f"{record.status}: {queries.done} of {queries.expected} queries{failed}; "
        f"{cost.seconds_per_query * 1000:.1f} ms, {cost.forwards / done:.0f} forwards and "
        f"{cost.backwards / done:.0f} backwards a query; setup {cost.setup_seconds:.1f} s; "
        f"peak {peak} MB on {cost.device}"
    )


SUMMARY = {"flip_rate": "flip", "oracle_agreed_flip": "agreed", "l1": "L1"}
"""Metrics that a line of several runs shows, and their headings."""


def print_records(console: Console, records: Sequence[Record]) -> None:
    """A line a run: its main scores over all queries, whose intervals are in the record, failures, seconds a query."""
    from rich.markup import escape
    from rich.table import Table

    names = [name for name in SUMMARY if any(name in record.scores for record in records)]
    table = Table(
        "task", "method", "seed", "n", "failed", *(SUMMARY[name] for name in names), "s/query", box=None, pad_edge=False
    )
    for record in records:
        key, queries = record.key, record.queries
        scores = [record.scores.get(name, {}).get("all") for name in names]
        table.add_row(
            f"{escape(key.task)} {key.targets}",
            f"[bold]{escape(key.method)}[/bold]",
            str(key.seed),
            str(queries.requested),
            str(queries.failed),
            *("" if score is None or score.value is None else number(score.value) for score in scores),
            "" if record.cost is None else number(record.cost.seconds_per_query),
        )
    console.print(table)
