"""Sentences that captions share."""

from __future__ import annotations

from collections.abc import Sequence

from cfbench.report.scene import Item, Scene

INTERVALS = (
    "Bars are 95 % intervals, missing where none is known to cover; those of set distances are about the "
    "bias-corrected value."
)


def caption(
    scene: Scene,
    what: str,
    items: Sequence[Item],
    *,
    intervals: bool = True,
    styled: bool = True,
    absent: str = "not scored",
) -> str:
    """What a figure shows, on which queries, and what its marks mean.

    Args:
        what: its first sentences. items: rows that are drawn. intervals: whether it has intervals of scores.
        styled: whether it draws the rows' markers. absent: why other rows are not drawn; empty where it goes without
            saying.
    """
    parts = [f"{scene.question}. {what}"]
    if intervals:
        parts.append(INTERVALS)
    if any(item.is_reference for item in items):
        marks = "Grey line markers" if styled else "Names in grey"
        parts.append(f"{marks}: references, which show what the scores mean and win nothing.")
    if any(map(_is_partial, items)):
        marks = "Hollow or pale markers" if styled else "Rows called partial"
        parts.append(f"{marks}: partial runs ({', '.join(_partial(item) for item in items if _is_partial(item))}).")
    others = [item.label for item in scene.items if item not in items]
    if others and absent:
        parts.append(f"Left out, {absent}: {', '.join(others)}.")
    if any(item.label.endswith("…") or " #" in item.label for item in items):
        parts.append("Names that are cut are whole in the data file.")
    return " ".join(parts)


def _is_partial(item: Item) -> bool:
    return item.row.status == "partial"


def _partial(item: Item) -> str:
    queries = item.row.record.queries
    return f"{item.label} {queries.done:,} of {queries.expected:,}"
