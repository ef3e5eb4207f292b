"""``cfbench score``: scores again, from the stored images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfbench.cli.options import DeviceOption, TaskOption, make_task, shown

if TYPE_CHECKING:
    from cfbench.record import Score


def score(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    task: TaskOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Score a run again from its stored 8-bit images alone, without running its method."""
    from rich.console import Console

    from cfbench.cli.tables import print_record
    from cfbench.harness import rescore
    from cfbench.store import RunFolder

    folder = RunFolder(run)
    key = folder.key()
    chosen = make_task(task or key.task, key.targets, key.split, device)
    record, before = rescore(folder, chosen)
    console = Console()
    print_record(console, record)
    console.print(f"\nscores: {_compared(record.scores, before)}\nrecord: {shown(run / 'run.json')}", soft_wrap=True)
    query = chosen.queries["query_id"][0]
    console.print(f"next: cfbench explain --method {key.method} --query {query}")


def _compared(now: dict[str, dict[str, Score]], before: dict[str, dict[str, Score]]) -> str:
    """How the scores relate to the ones that the record had."""
    if now == before:
        return "the same, bit for bit, as before"
    if {name: set(subsets) for name, subsets in now.items()} != {
        name: set(subsets) for name, subsets in before.items()
    }:
        return "other metrics than before; run.json has the new ones"
    changes = {
        name: abs(score.value - old.value) / max(abs(old.value), 1e-12)
        for name, subsets in now.items()
        for score, old in ((subsets[subset], before[name][subset]) for subset in subsets)
        if score.value is not None and old.value is not None
    }
    most = max(changes, key=lambda name: changes[name])
    return f"changed, most {most} by a relative {changes[most]:.1g}; run.json has the new ones"
