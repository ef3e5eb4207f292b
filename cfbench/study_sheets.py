"""Contact sheets of a study's runs: the first queries of a task, what each row makes of them, and the difference."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cfbench.figures import change_sheet, signed_change
from cfbench.files import write_atomic
from cfbench.pieces import pieces_of
from cfbench.store import RunFolder
from cfbench.study import task_of
from cfbench.study_tables import Line

SHOWN = 10
"""Queries on a sheet."""


def write_sheets(lines: Sequence[Line], out: Path) -> list[Path]:
    """Write ``sheets/<part>-<task>-<row>.png`` of the first run of every row; all sheets share one scale of colours.

    Args:
        lines: all rows of a part on a task; those without a run have no sheet, and at least one has a run.
    """
    there = [line for line in lines if line.runs]
    task = task_of(there[0].cell)
    count = min(SHOWN, *(line.runs[0].record.queries.requested for line in there))
    made = [next(pieces_of(RunFolder(line.runs[0].path), task, count)) for line in there]
    bound = max(float(signed_change(piece.stored_queries, piece.stored).abs().max()) for piece in made)
    paths = []
    for line, piece in zip(there, made, strict=True):
        cell = line.cell
        flipped = line.runs[0].table["flipped"].tolist()
        captions = [
            "\n".join(textwrap.wrap(f"→ {task.dataset.classes[target]}{'' if turned else ' (no)'}", 12))
            for target, turned in zip(piece.targets.tolist(), flipped, strict=False)
        ]
        title = f"{cell.label} on {task.key}: classes asked for; (no): not flipped"
        figure = change_sheet(
            piece.stored_queries, piece.stored, captions=captions, title=title, bound=max(bound, 1 / 255)
        )
        paths.append(out / "sheets" / f"{cell.part.name}-{cell.dataset}-{cell.file}.png")
        write_atomic(paths[-1], partial(figure.savefig, dpi=150, format="png"))
    return paths
