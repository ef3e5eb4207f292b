"""``cfbench study``: a grid of runs declared in a file, made and collected into tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfbench.cli.options import INTERRUPTED, DeviceOption, shown, usable_device
from cfbench.errors import CfbenchError

if TYPE_CHECKING:
    from cfbench.stage import Advance
    from cfbench.study import Cell, Study

FAILED_RUNS = 3
"""Exit code of a study some of whose runs could not be made."""


def study(
    file: Annotated[Path, typer.Argument(help="TOML file that declares the parts and rows of the study.")],
    out: Annotated[Path, typer.Option(help="Folder below which each run gets its own.")] = Path("runs"),
    collect: Annotated[
        Path | None,
        typer.Option(help="Folder for tables, records and sheets; by default named like FILE, beside it."),
    ] = None,
    only: Annotated[
        str,
        typer.Option(metavar="GLOB", help="Only matching parts, tasks or rows, such as 'dip*' or 'ablation/isic/*'."),
    ] = "*",
    all_sheets: Annotated[
        bool, typer.Option("--all-sheets", help="Also draw pictures that may not be published.")
    ] = False,
    device: DeviceOption = "cpu",
) -> None:
    """Make every run that FILE declares, and collect tables, records and contact sheets.

    Given again, it goes on where it was stopped; finished runs are not made again. Runs that cannot be made are
    reported and the others go on; the exit code is then 3. Tables have every finished run, whatever --only says.
    """
    from rich.console import Console

    from cfbench.study import Study, complete

    plan = Study.read(file)
    device = usable_device(device)
    cells = plan.matching(only)
    target = collect or file.with_suffix("")
    failures: list[str] = []
    written: list[Path] = []
    try:
        with _Display(sum(cell.part.seeds for cell in cells)) as display:
            for _, group in groupby(cells, key=lambda each: (each.part.name, each.dataset)):
                table = list(group)
                for cell, seed in ((each, seed) for each in table for seed in range(each.part.seeds)):
                    name = f"{cell.part.name}/{cell.dataset}/{cell.label} seed {seed}"
                    display.start(name)
                    made = True
                    try:
                        made = complete(cell, seed, root=out, device=device, on_advance=display.on_advance)
                    except CfbenchError as error:
                        failures.append(f"{name}: {error}")
                        display.report(failures[-1])
                    display.end(made=made)
                try:
                    written += _collect(plan, table[0], out, target, all_sheets)
                except CfbenchError as error:
                    failures.append(f"{table[0].part.name}/{table[0].dataset}, its table: {error}")
                    display.report(failures[-1])
    except KeyboardInterrupt:
        print("stopped; finished shards are kept: give the same command again to go on", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None

    console = Console()
    for path in dict.fromkeys(written):
        console.print(f"table: {shown(path)}", soft_wrap=True, highlight=False)
    console.print(f"records and sheets: {shown(target)}; runs: {shown(out)}", soft_wrap=True, highlight=False)
    if failures:
        print(f"error: {len(failures)} could not be made:", *failures, sep="\n  ", file=sys.stderr)
        console.print(f"next: cfbench study {file}, when what they need is there", soft_wrap=True, highlight=False)
        raise typer.Exit(FAILED_RUNS)
    console.print("next: cfbench compare RUN RUN, of two run folders", soft_wrap=True, highlight=False)


def _collect(study: Study, cell: Cell, root: Path, out: Path, all_sheets: bool) -> Iterator[Path]:
    """Write what there is of the part and task of ``cell``; gives the tables."""
    from cfbench.study import task_of
    from cfbench.study_sheets import write_sheets
    from cfbench.study_tables import lines_of, write_csv, write_records, write_table

    of_part = lines_of([each for each in study.cells if each.part is cell.part], root)
    lines = [line for line in of_part if line.cell.dataset == cell.dataset]
    if any(line.runs for line in lines):
        yield write_table(study, lines, out)
        yield write_csv(study, cell.part, of_part, out)
        write_records(lines, out)
        if task_of(cell).dataset.shareable or all_sheets:
            write_sheets(lines, out)


class _Display:
    """Progress over all runs and over the present one, with the time to go."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            speed_estimate_period=24 * 3600,
        )
        self._total, self._done = total, 0
        self._all = self._progress.add_task("all runs", total=total, note="")
        self._current = self._progress.add_task("", total=None, note="")

    def __enter__(self) -> _Display:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def start(self, name: str) -> None:
        """Show a run as the present one."""
        from rich.markup import escape

        self._progress.reset(self._current, description=escape(name), total=None, note="")
        self._show(0.0)

    def end(self, *, made: bool) -> None:
        """The present run is over; one that was there already says nothing about the time that others take."""
        self._done += made
        self._total -= not made
        self._show(0.0)

    def on_advance(self, advance: Advance) -> None:
        """Show how far the present run is, and its flip rate so far."""
        rate = f"flip rate {advance.flipped / advance.done:.3f}" if advance.done else ""
        note = f"{advance.done}/{advance.requested} {advance.variant} {rate}"
        self._progress.update(self._current, completed=advance.done, total=advance.requested, note=note)
        if not advance.variant:
            self._show(advance.done / advance.requested)

    def report(self, failure: str) -> None:
        """Say at once that a run could not be made."""
        from rich.markup import escape

        self._progress.console.print(f"[red]not made[/red] {escape(failure)}", soft_wrap=True, highlight=False)

    def _show(self, share: float) -> None:
        done = self._done + share
        self._progress.update(self._all, completed=done, total=self._total, note=f"{self._done}/{self._total}")
