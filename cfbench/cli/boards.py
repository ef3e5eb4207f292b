"""``cfbench leaderboard add``, ``build`` and ``show``: publish runs, build the page, show boards in the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cfbench.cli.options import shown
from cfbench.errors import InvalidParameter

RecordsOption = Annotated[
    Path, typer.Option("--records", help="Folder of published records; board.toml lies beside it.")
]
RECORDS = Path("leaderboard/records")


def add(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs, as evaluate wrote them.")],
    records: RecordsOption = RECORDS,
) -> None:
    """Publish finished runs: their record, a slim query table, and a gallery where pictures may be shown.

    A run that has not explained all queries is listed as partial and never ranked.
    """
    from rich.console import Console

    from cfbench.board.publishing import publish
    from cfbench.board.rules import Rules

    columns = Rules.beside(records).columns
    console = Console()
    for run in runs:
        place = publish(run, records, columns)
        size = sum(file.stat().st_size for file in place.iterdir())
        console.print(f"published: {shown(place)} ({size / 1000:.0f} kB)", soft_wrap=True, highlight=False)
    console.print("next: cfbench leaderboard show, or cfbench leaderboard build")


def build(
    records: RecordsOption = RECORDS,
    out: Annotated[
        Path | None, typer.Option(help="File of the page; by default index.html beside the records.")
    ] = None,
) -> None:
    """Build the leaderboard's page: one file that needs no network."""
    from rich.console import Console

    from cfbench.board import page
    from cfbench.board.data import leaderboard as data_of
    from cfbench.files import write_text

    data = data_of(records)
    target = out or records.parent / "index.html"
    write_text(target, page.build(data))
    size = target.stat().st_size / 1e6
    console = Console()
    console.print(f"page: {shown(target)} ({size:.1f} MB, {len(data['rows'])} rows)", soft_wrap=True, highlight=False)
    console.print("next: open it in a browser; it needs no server and no network")


def show(
    records: RecordsOption = RECORDS,
    task: Annotated[str | None, typer.Option(help="Only the boards of this task, name or name@version.")] = None,
    track: Annotated[
        str | None, typer.Option(help="Only this track or access, such as data-free or black-box; references stay.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All rows, also those that are not ranked.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the data of the page as JSON instead.")] = False,
) -> None:
    """Show the boards: the first ranked rows of each, and the references."""
    from rich.console import Console

    from cfbench.board.data import leaderboard as data_of
    from cfbench.cli.board_table import print_board, print_legend

    data = data_of(records)
    boards = [board for board in data["tasks"] if task is None or task in (board["task"], board["task"].split("@")[0])]
    if not boards:
        there = sorted({board["task"] for board in data["tasks"]})
        raise InvalidParameter(f"there is no board of task {task!r}; there are {', '.join(there)}")
    names = {board["id"] for board in boards}
    tracks = sorted({row[kind] for row in data["rows"] for kind in ("track", "access")})
    if track is not None and track not in tracks:
        raise InvalidParameter(f"there is no row of track {track!r}; there are {', '.join(tracks)}")
    rows = [
        row
        for row in data["rows"]
        if row["task"] in names and (track in (None, row["track"], row["access"]) or row["status"] == "reference")
    ]
    if as_json:
        print(json.dumps(data | {"tasks": boards, "rows": rows}, indent=2, allow_nan=False))
        return
    console = Console()
    for board in boards:
        print_board(console, board, [row for row in rows if row["task"] == board["id"]], data, everything=everything)
    print_legend(console, data)
    options = ["--all"] if not everything else [f"--task {boards[0]['task']}"] if task is None else ["--json"]
    console.print(f"next: cfbench leaderboard show {options[0]}, or cfbench leaderboard build", highlight=False)
