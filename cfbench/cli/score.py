"""``cfbench score``: scores again, from the stored images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cfbench.cli.options import DeviceOption, TaskOption, make_task, shown


def score(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    task: TaskOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Score a run again from its stored 8-bit images alone, without running its method."""
    from rich.console import Console

    from cfbench.cli.tables import score_table, summary
    from cfbench.harness import rescore
    from cfbench.store import RunFolder

    folder = RunFolder(run)
    key = folder.key()
    chosen = make_task(task or key.task, key.targets, key.split, device)
    record, before = rescore(folder, chosen)
    console = Console()
    console.print(f"[bold]{key.method}[/bold] on {key.task}, targets {key.targets}, seed {key.seed}")
    console.print(score_table(record))
    console.print(summary(record))
    same = "the same, bit for bit, as before" if record.scores == before else "changed: run.json has the new ones"
    console.print(f"\nscores: {same}\nrecord: {shown(run / 'run.json')}", soft_wrap=True)
    console.print(f"next: cfbench explain --method {key.method}")
