"""``cfbench evaluate``: run a method on a task and score it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfbench.cli.options import (
    INTERRUPTED,
    ClassifierOption,
    DeviceOption,
    MethodOption,
    QuerySplit,
    SetOption,
    TargetRule,
    TargetsOption,
    TaskOption,
    make_method,
    make_task,
    shown,
)

if TYPE_CHECKING:
    from cfbench.production import Advance, OnAdvance

FAILED_QUERIES = 3
"""Exit code of a run that finished with failed or unreached queries."""


class Protocol(StrEnum):
    """Further runs that a protocol makes."""

    composition = "composition"
    reversibility = "reversibility"
    stability = "stability"
    seeds = "seeds"
    corruption = "corruption"
    boundary = "boundary"


def evaluate(
    method: MethodOption,
    settings: SetOption = None,
    task: TaskOption = None,
    targets: TargetsOption = TargetRule.near,
    split: Annotated[QuerySplit, typer.Option(help="test, or validation for tuning.")] = QuerySplit.test,
    classifier: ClassifierOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="Run seeds 0 .. N-1.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N queries; the record is partial.")] = None,
    out: Annotated[Path, typer.Option(help="Folder below which each run gets its own.")] = Path("runs"),
    batch_size: Annotated[int | None, typer.Option(min=1, help="Queries a call; by default the method's.")] = None,
    time_limit: Annotated[
        float | None, typer.Option(min=0, help="Seconds a run; what is left counts as failed.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Explain stored failures again.")] = False,
    protocol: Annotated[
        list[Protocol] | None, typer.Option(help="Also run and score this protocol; repeatable.")
    ] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Run a method on a task, store its counterfactuals, score them, write the record.

    A run that was stopped goes on where it was when the same command is given again. Exit code 3 means that the run
    finished but some queries failed.
    """
    from rich.console import Console

    from cfbench.cli.tables import print_record
    from cfbench.harness import evaluate as run

    chosen = make_task(task, targets, split, device, classifier)
    console = Console()
    failed = 0
    for seed in range(seeds):
        instance = make_method(method, settings)
        try:
            with _progress(f"{instance.name} seed {seed}") as on_advance:
                record, folder = run(
                    instance,
                    chosen,
                    root=out,
                    seed=seed,
                    limit=limit,
                    batch_size=batch_size,
                    time_limit=time_limit,
                    retry_failed=retry_failed,
                    protocols=[each.value for each in protocol or []],
                    on_advance=on_advance,
                )
        except KeyboardInterrupt:
            print("stopped; finished shards are kept: give the same command again to go on", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        print_record(console, record)
        if record.queries.failed:
            _report_failures(folder)
        failed += record.queries.failed
        console.print(f"\nrecord, query table and images: {shown(folder)}", soft_wrap=True)
    query = chosen.queries["query_id"][0]
    named = f" --task {task}" if task else ""
    console.print(f"next: cfbench explain --method {method}{named} --query {query}", soft_wrap=True)
    console.print(f"      cfbench score {shown(folder)}", soft_wrap=True)
    if failed:
        raise typer.Exit(FAILED_QUERIES)


def _report_failures(folder: Path) -> None:
    import pandas as pd

    from cfbench.record import TABLE

    errors = pd.read_parquet(folder / TABLE, columns=["query_id", "error"])
    errors = errors[errors["error"] != ""]
    first = errors.iloc[0]
    print(
        f"error: {len(errors)} queries failed and count as not flipped, first {first['query_id']}: {first['error']}; "
        f"see column error of {shown(folder / TABLE)}, then fix and run again with --retry-failed or more time",
        file=sys.stderr,
    )


@contextmanager
def _progress(title: str) -> Iterator[OnAdvance]:
    """A progress bar with the flip rate so far and the time to go."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("flip rate {task.fields[flips]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=3600) as progress:
        row = progress.add_task(title, total=None, flips="-")

        def on_advance(advance: Advance) -> None:
            flips = f"{advance.flipped / advance.done:.3f}" if advance.done else "-"
            described = f"{title} {advance.variant}".strip()
            progress.update(row, description=described, completed=advance.done, total=advance.requested, flips=flips)

        yield on_advance
