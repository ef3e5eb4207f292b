"""``cfbench status``: how far the runs below a folder are."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfbench.cli.options import shown
from cfbench.errors import MissingResource

if TYPE_CHECKING:
    from cfbench.store import RunFolder


def status(
    folder: Annotated[Path, typer.Argument(help="Folder of runs, as evaluate's --out.")] = Path("runs"),
) -> None:
    """Show every run below FOLDER: queries done, failures, whether it is scored, and which process is at it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from cfbench.store import KEY_FILE, RunFolder

    runs = [RunFolder(path.parent) for path in sorted(folder.rglob(KEY_FILE)) if "protocols" not in path.parts]
    if not runs:
        raise MissingResource(f"{folder} holds no run; make one with cfbench evaluate --method NAME --out {folder}")
    table = Table(Column("run", no_wrap=True), "queries", "failed", "flips", "state", box=None, pad_edge=False)
    states = []
    for place, group in groupby(runs, key=lambda run: run.path.parent):
        table.add_row(f"[bold]{escape(shown(place))}[/bold]")
        for run in group:
            cells, state = _line(run)
            states.append(state)
            table.add_row(f"  {escape(run.path.name)}", *cells)
    console = Console()
    console.print(table)
    finished = states.count("scored")
    console.print(f"\n{finished} of {len(runs)} runs in {shown(folder)} are scored", soft_wrap=True)
    if finished < len(runs):
        console.print("next: give the cfbench evaluate command that made the others again; it goes on", soft_wrap=True)
    else:
        console.print("next: cfbench compare RUN RUN, cfbench leaderboard add RUN", soft_wrap=True)


def _line(run: RunFolder) -> tuple[list[str], str]:
    """The cells of a run after its name, and its state."""
    from rich.markup import escape

    from cfbench.errors import CfbenchError
    from cfbench.record import FILE, Record

    done = sum(map(len, run.positions()))
    holder, busy = run.holder(), run.busy()
    requested = max(done, holder.requested if holder else 0)
    failed, rate = "", ""
    state = f"at work: {holder}" if busy else f"stopped, was {holder}" if holder else "stopped"
    if (run.path / FILE).is_file():
        try:
            record = Record.read(run.path)
        except CfbenchError as error:
            return [f"{done}", "", "", escape(str(error))], "damaged"
        failed = str(record.queries.failed)
        if (flips := record.scores.get("flip_rate", {}).get("all")) and flips.value is not None:
            rate = f"{flips.value:.3f}"
        if not busy and record.queries.requested >= requested:
            requested, state = record.queries.requested, "scored"
    return [f"{done}/{requested}" if requested else f"{done}", failed, rate, escape(state)], state
