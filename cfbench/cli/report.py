"""``cfbench report``: figures, tables and a page of published records."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cfbench.cli.boards import RECORDS
from cfbench.cli.options import shown


def report(
    records: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of records or of runs, or single runs; by default leaderboard/records."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the figures, tables and pages.")] = Path("report"),
) -> None:
    """Draw the figures of a paper from records: PDF, PNG, caption and data each; tables and a page besides.

    Every board, records of one task, targets, split and judges, gets a folder. Ranks and what is shown follow the
    board.toml beside the records.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from cfbench.markdown import printable
    from cfbench.report.build import draw_boards
    from cfbench.report.page import write_pages
    from cfbench.report.records import read_all, rules_of

    places = records or [RECORDS]
    rules = rules_of(places, RECORDS)
    entries = read_all(places)
    say = partial(Console().print, markup=False, soft_wrap=True, highlight=False)
    errors = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    progress = Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)
    sections = []
    with progress:
        task = progress.add_task("drawing the first board")
        for section in draw_boards(entries, rules, out):
            sections.append(section)
            progress.update(task, description=f"{len(sections)} boards drawn")
    markdown, html = write_pages(sections, rules, out)
    for section in sections:
        rows = len(section.board.rows)
        say(f"{printable(section.board.name)}: {rows} row{'s' * (rows != 1)}, {len(section.figures)} figures")
        for each in section.left_out:
            say(f"  left out, {each.title}: {each.reason}")
    size, folder = html.stat().st_size / 1e6, shown(sections[0].folder)
    made = f"{len(entries)} record{'s' * (len(entries) != 1)}"
    say(f"report: {shown(html)} ({size:.1f} MB) and {shown(markdown)}, from {made}")
    say(f"next: open {shown(html)} in a browser; a paper takes the PDF files and table.tex of {folder}")
