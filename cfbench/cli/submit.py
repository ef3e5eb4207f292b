"""``cfbench submit``: a finished run as a bundle for the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cfbench.cli.options import TaskOption, dataset_of, shown


def submit(
    run: Annotated[Path, typer.Argument(help="Folder of a finished, complete run.")],
    card: Annotated[
        Path, typer.Option(help="Who, licence, links; written for you to fill in where there is none.")
    ] = Path("card.toml"),
    method: Annotated[
        str | None, typer.Option("--method", help="The adapter, path/to/file.py:Class, where it is not registered.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The bundle; by default the name of the run.")] = None,
    task: TaskOption = None,
) -> None:
    """Make a bundle of a run: record, query table, 8-bit images, the adapter's source, card.

    It is verified as the leaderboard will verify it, and written only if it would be accepted. Exit code 1 means that
    the card was written and is to be filled in.
    """
    from rich.console import Console

    from cfbench.board.card import read_card, write_template
    from cfbench.board.submitting import submit as make_bundle
    from cfbench.cli.submissions import print_verdict
    from cfbench.record import Record
    from cfbench.registry import METHODS

    console = Console()
    record = Record.read(run)
    if not card.exists():
        write_template(card, record)
        console.print(f"card: {shown(card)}\nnext: fill it in and give the same command again", soft_wrap=True)
        raise typer.Exit(1)
    bundle = out or Path(f"{run.resolve().name}.zip")
    adapter = METHODS.load(method or record.key.method)
    dataset = dataset_of(task) if task else None
    print_verdict(console, make_bundle(run, read_card(card), bundle, method=adapter, dataset=dataset))
    console.print(f"bundle: {shown(bundle)}, {bundle.stat().st_size / 1e6:.1f} MB", soft_wrap=True)
    console.print(
        f"next: add it as leaderboard/submissions/{bundle.name} in a pull request, see CONTRIBUTING.md", soft_wrap=True
    )
