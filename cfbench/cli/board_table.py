"""How a board is shown in the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cfbench.markdown import number, printable

if TYPE_CHECKING:
    from rich.console import Console

TOP = 10
"""Ranked rows of a board that are shown where not all are."""

BESIDE = "flip_rate"
"""What the headline is read beside: the gap between them is the share of flips that convince nobody."""

WIDE = 110
"""Columns of a terminal from which on there is room for tracks and intervals."""

ARROWS = {"higher": "↑", "lower": "↓"}


def print_board(
    console: Console,
    board: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    data: Mapping[str, Any],
    *,
    everything: bool,
) -> None:
    """The rows of one board; unless ``everything``, the first ranked ones and the references.

    Args:
        board, rows: from ``data``, the dictionaries of :func:`cfbench.board.data.board_data`.
    """
    from rich.table import Table

    classifier = "" if board["classifier"] == "classifier" else f", classifier {board['classifier']}"
    console.print(
        f"[bold]{_plain(board['id'])}[/bold] {_plain(board['title'])}: targets {_plain(board['rule'])}"
        f"{_plain(classifier)}, {board['n']:,} queries",
        soft_wrap=True,
        highlight=False,
    )
    ranked = [row for row in rows if row["status"] == "ranked"]
    chosen = list(rows) if everything else [*ranked[:TOP], *(row for row in rows if row["status"] == "reference")]
    rules = data["rules"]
    names = dict.fromkeys((rules["headline"], BESIDE, *rules["pareto"]))
    metrics = {name: data["metrics"][name] for name in names if name in data["metrics"]}
    heads = [f"{_plain(metric['label'])} {ARROWS[metric['direction']]}" for metric in metrics.values()]
    wide = console.width >= WIDE
    track = ("track",) if wide else ()
    table = Table("rank", "", "method", *track, *heads, "closeness ↑", "s/query ↓", box=None, pad_edge=False)
    for column in table.columns[:3]:
        column.no_wrap = True
    for row in chosen:
        scores = [_score(row["scores"].get(name), interval=wide and name == rules["headline"]) for name in metrics]
        rank = _rank(row["rank"]) if row["rank"] else f"[dim]{row['status']}[/dim]"
        method = f"[bold]{_plain(row['label'])}[/bold]{_seeds(row)}"
        cells = [rank, "*" if row["pareto"] else "", method, *(_plain(row[name]) for name in track), *scores]
        table.add_row(*cells, _score(row["aggregate"], interval=False), number(row["cost"]["seconds"]))
    console.print(table)
    for row in chosen if everything else ():
        if row["reason"]:
            console.print(
                f"[dim]{_plain(row['label'])}: {_plain(row['reason'])}[/dim]", soft_wrap=True, highlight=False
            )
    hidden = Counter("more ranked" if row["status"] == "ranked" else row["status"] for row in rows if row not in chosen)
    if hidden:
        console.print(f"not shown: {', '.join(f'{count} {what}' for what, count in hidden.items())}", highlight=False)
    console.print()


def print_legend(console: Console, data: Mapping[str, Any]) -> None:
    """What rank, star and closeness mean."""
    rules = data["rules"]
    console.print(
        f"rank: best and worst by {_plain(data['metrics'][rules['headline']]['label'])} that the tests leave open; "
        f"*: on the Pareto front; closeness: {_plain(rules['aggregate']['label'])}; 95 % intervals in brackets",
        soft_wrap=True,
        highlight=False,
    )


def _plain(text: str) -> str:
    """Text of others, without markup and terminal codes."""
    from rich.markup import escape

    return escape(printable(text))


def _rank(rank: Sequence[int]) -> str:
    low, high = rank
    return f"{low}" if low == high else f"{low}-{high}"


def _seeds(row: Mapping[str, Any]) -> str:
    return f" [dim]({row['seeds']} seeds)[/dim]" if row["seeds"] > 1 else ""


def _score(score: Mapping[str, Any] | None, *, interval: bool) -> str:
    if score is None or score["value"] is None:
        return ""
    text = number(score["value"])
    if interval and score["low"] is not None:
        text += f" [dim]\\[{number(score['low'])}, {number(score['high'])}][/dim]"
    return text
