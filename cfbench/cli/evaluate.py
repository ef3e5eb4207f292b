"""``cfbench evaluate``: run a method on a task and score it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfbench.cli.options import (
    INTERRUPTED,
    ClassifierOption,
    DeviceOption,
    QuerySplit,
    SetOption,
    TargetRule,
    TargetsOption,
    make_method,
    shown,
    task_key,
    usable_device,
)
from cfbench.errors import InvalidParameter

if TYPE_CHECKING:
    from rich.console import Console

    from cfbench.evaluation import Evaluation
    from cfbench.work import TaskSpec

FAILED_QUERIES = 3
"""Exit code of runs that finished with failed or unreached queries."""

FAILED_RUNS = 2
"""Exit code of a grid in which a run could not be made."""


class Executor(StrEnum):
    """Where workers run."""

    local = "local"
    dask = "dask"


class Protocol(StrEnum):
    """Further runs that a protocol makes."""

    composition = "composition"
    reversibility = "reversibility"
    stability = "stability"
    seeds = "seeds"
    corruption = "corruption"
    boundary = "boundary"


def evaluate(
    method: Annotated[
        list[str], typer.Option("--method", help="Registered name, or path/to/file.py:Class; repeatable.")
    ],
    settings: SetOption = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="Task key, name or name@version, by default the packaged one; repeatable."),
    ] = None,
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
    max_failures: Annotated[
        int | None, typer.Option(min=0, help="Failed queries after which a run is given up; what is left counts too.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Explain stored failures again.")] = False,
    protocol: Annotated[
        list[Protocol] | None, typer.Option(help="Also run and score this protocol; repeatable.")
    ] = None,
    device: DeviceOption = "cpu",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes at work, threads = cores / N; without it, this one.")
    ] = None,
    executor: Annotated[Executor, typer.Option(help="Where workers run.")] = Executor.local,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a running dask scheduler, such as tcp://host:8786.")
    ] = None,
    hang_limit: Annotated[
        float | None,
        typer.Option(
            min=0, help="Seconds after which a worker that is still at one shard is stopped; needs --workers."
        ),
    ] = None,
) -> None:
    """Run methods on tasks, store their counterfactuals, score them, write the records.

    Runs that were stopped go on where they were when the same command is given again. Exit code 3 means that all runs
    finished but some queries failed, 2 that some run could not be made.
    """
    from rich.console import Console

    from cfbench.cli.pools import make_pool
    from cfbench.cli.progress import EvaluationProgress
    from cfbench.cli.tables import print_record, print_records
    from cfbench.evaluation import Options
    from cfbench.grid import evaluations
    from cfbench.schedule import carry_out
    from cfbench.work import TaskSpec

    if len(method) > 1 and settings:
        raise InvalidParameter(
            "--set is for one method; give one --method, or declare the grid in a file: cfbench study"
        )
    names = list(dict.fromkeys(method))
    chosen = [(name, make_method(name, settings)) for name in names]
    on_dask = executor is Executor.dask
    device = device if on_dask else usable_device(device)
    keys = dict.fromkeys(task or [task_key(None)])
    tasks = [TaskSpec(key, targets, split, classifier, device) for key in keys]
    options = Options(limit, batch_size, time_limit, max_failures, retry_failed)
    pool = make_pool(executor, workers, scheduler, device=device, hang_limit=hang_limit)
    planned = evaluations(
        chosen,
        tasks,
        range(seeds),
        root=out,
        options=options,
        protocols=[each.value for each in protocol or []],
        pool=pool,
        device="cpu" if on_dask else device,
    )
    try:
        with pool, EvaluationProgress(planned) as progress:
            carry_out(planned, pool, hang_limit=hang_limit, on_change=progress.on_change)
    except KeyboardInterrupt:
        print("stopped; finished shards are kept: give the same command again to go on", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    if len(planned) == 1 and planned[0].error is not None:
        raise planned[0].error

    console = Console()
    records = [(each.record, each.folder.path) for each in planned if each.record is not None]
    if len(planned) > 1 and records:
        print_records(console, [record for record, _ in records])
    for record, folder in records:
        if len(planned) == 1:
            print_record(console, record)
        if record.queries.failed:
            _report_failures(folder)
    failures = [each for each in planned if each.error is not None]
    for each in failures:
        print(f"error: {shown(each.folder.path)} was not made: {each.error}", file=sys.stderr)
    _say_what_next(console, planned, out, names[0], tasks[0])
    if failures:
        raise typer.Exit(FAILED_RUNS)
    if any(record.queries.failed for record, _ in records):
        raise typer.Exit(FAILED_QUERIES)


def _say_what_next(console: Console, planned: list[Evaluation], out: Path, method: str, task: TaskSpec) -> None:
    if len(planned) > 1:
        console.print(f"\nrecords, query tables and images: {shown(out)}", soft_wrap=True)
        console.print(f"next: cfbench status {shown(out)}", soft_wrap=True)
        console.print("      cfbench compare RUN RUN, of two run folders", soft_wrap=True)
        return
    [evaluation] = planned
    folder = shown(evaluation.folder.path)
    query = evaluation.live.task.queries["query_id"][0]
    console.print(f"\nrecord, query table and images: {folder}", soft_wrap=True)
    console.print(f"next: cfbench explain --method {method} --task {task.name} --query {query}", soft_wrap=True)
    console.print(f"      cfbench score {folder}", soft_wrap=True)


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
