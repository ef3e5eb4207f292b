"""``cfbench leaderboard verify`` and ``challenge``: what strangers submitted, and what other oracles say of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfbench.cli.options import TaskOption, dataset_of, make_task, shown
from cfbench.markdown import number, printable

if TYPE_CHECKING:
    from rich.console import Console

    from cfbench.board.verify import Verdict
    from cfbench.judges import Member
    from cfbench.record import Record
    from cfbench.store import RunFolder
    from cfbench.task import Task

REFUSED = 1
"""Exit code where a bundle is not accepted."""


def verify(
    bundle: Annotated[Path, typer.Argument(help="A file that cfbench submit wrote.")],
    records: Annotated[
        Path | None, typer.Option(help="Publish the accepted run below this folder, such as leaderboard/records.")
    ] = None,
    source: Annotated[bool, typer.Option("--source", help="Also show the adapter's source.")] = False,
    task: TaskOption = None,
) -> None:
    """Verify a submission: hashes, completeness, access, copies of real images; every score is computed again.

    Nothing in it is imported or unpickled. Exit code 1 means that it is refused, with the reason.
    """
    import sys

    from rich.console import Console

    from cfbench.board.archive import Refused
    from cfbench.board.source import shown as shown_source
    from cfbench.board.verify import verify as verified

    console = Console()
    try:
        verdict = verified(bundle, dataset=dataset_of(task) if task else None, records=records)
    except Refused as error:
        print(printable(f"refused: {error}"), file=sys.stderr)
        raise typer.Exit(REFUSED) from error
    print_verdict(console, verdict)
    if source:
        for line, text in enumerate(shown_source(verdict.adapter).splitlines(), start=1):
            console.print(f"{line:4d}  {text}", markup=False, highlight=False, soft_wrap=True)
    if verdict.entry:
        console.print(f"published: {shown(verdict.entry)}\nnext: cfbench leaderboard build", soft_wrap=True)
    else:
        console.print(f"next: cfbench leaderboard verify {shown(bundle)} --records leaderboard/records", soft_wrap=True)


def print_verdict(console: Console, verdict: Verdict) -> None:
    """What was checked, what a reviewer should know, who submitted it."""
    from rich.markup import escape
    from rich.table import Table

    key, card = verdict.record.key, verdict.card
    console.print(
        f"[bold]{escape(key.method)}[/bold] on {key.task}, targets {key.targets}, seed {key.seed}: accepted, from "
        f"{escape(card.author)}, licence {escape(card.licence)}",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False, show_header=False)
    for text in verdict.confirmed:
        table.add_row("[green]✓[/green]", escape(text))
    for text in verdict.flags:
        table.add_row("[yellow]![/yellow]", escape(text))
    console.print(table)


def challenge(
    row: Annotated[Path, typer.Argument(help="A bundle, or the folder of a finished run.")],
    oracle: Annotated[list[str], typer.Option(help="A TorchScript file, or file.py:factory; repeatable.")],
    out: Annotated[Path, typer.Option(help="Where the challenge is written, as JSON.")] = Path("challenge.json"),
    task: TaskOption = None,
) -> None:
    """Challenge a row by an oracle of your own: does it see the target class in the stored counterfactuals?

    It says how good the oracle is on real images, what it sees beside what the task's oracles see, and the difference.
    """
    from rich.console import Console

    from cfbench.board.challenge import challenge as challenged
    from cfbench.files import write_json
    from cfbench.user_networks import user_networks

    members: list[Member] = []
    for spec in oracle:
        members += user_networks("oracle", spec, taken=[member.name for member in members])
    with _stored(row, task) as (record, folder, chosen):
        made = challenged(record, folder, chosen, members)
    write_json(out, made)
    _print_challenge(Console(), made)
    Console().print(f"challenge: {shown(out)}\nnext: attach it to an issue that names the row", soft_wrap=True)


@contextmanager
def _stored(row: Path, task: str | None) -> Iterator[tuple[Record, RunFolder, Task]]:
    """The record, the images and the task of a run folder or of a bundle."""
    from cfbench.board.bundle import open_bundle
    from cfbench.board.completeness import read_images, task_of
    from cfbench.record import Record
    from cfbench.store import RunFolder

    if row.is_dir():
        record = Record.read(row)
        key = record.key
        yield record, RunFolder(row), make_task(task or key.task, key.targets, key.split, "cpu", key.classifier)
        return
    with open_bundle(row) as bundle:
        chosen = task_of(bundle.record, dataset_of(task) if task else None)
        read_images(bundle, chosen)
        yield bundle.record, RunFolder(bundle.folder), chosen


def _print_challenge(console: Console, made: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("oracle", "accuracy", "agreement", "agreed flip", box=None, pad_edge=False)
    for side, style in (("challengers", "bold"), ("oracles", "default")):
        for each in made[side]:
            cells = [_cell(each[name]) for name in ("accuracy", "agreement", "agreed_flip")]
            table.add_row(f"[{style}]{escape(each['oracle'])}[/{style}]", *cells)
    table.add_row("difference, challengers less oracles", "", "", _cell(made["difference"]))
    console.print(table)


def _cell(score: dict[str, Any]) -> str:
    limits = score["ci95"]
    interval = f" [dim]\\[{number(limits[0])}, {number(limits[1])}][/dim]" if limits else ""
    return f"{number(score['value'])}{interval}"
