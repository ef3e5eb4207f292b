"""What scheduling costs, and what a second worker brings.

    python tests/benchmarks/grid.py [--queries 1000000] [--methods dip,ldce] [--shards 8]

The first table: a grid of shards that take no time, in this process; seconds and memory are the client's alone. The
second: queries a second of one and of two worker processes of one thread each, counted from the moment on at which
every worker has done its first shard; give the machine nothing else to do.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from cfbench.evaluation import Evaluation, Options
from cfbench.grid import evaluations
from cfbench.harness import evaluate
from cfbench.pools import InProcess, Processes
from cfbench.record import Record
from cfbench.registry import METHODS
from cfbench.schedule import carry_out
from cfbench.task import Task
from cfbench.testing import Toy, build_toy
from cfbench.work import Explained, LiveWork, TaskSpec


class LongTask(Task):
    """A task that says it has a great many queries."""

    count = 0

    def __len__(self) -> int:
        return self.count


class NoWork:
    """Shards that take no time and have nothing to store."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def explain(self, positions: range, folder: Path, *, variant: str, store: bool) -> Explained:
        return Explained(positions, len(positions), 0, 1e-9, "", None, True)

    def finish(self, folder: Path, requested: int) -> Record:
        return self.record


def memory_mb() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def scheduling(queries: int) -> None:
    print("| queries | queries a shard | µs a query | µs a shard | memory after a tenth, MB | at the end, MB |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        build_toy(root / "toy")
        task = LongTask(Toy(root / "toy"))
        method = METHODS.load("identity")()
        record, _ = evaluate(method, Task(task.dataset), root=root / "once")
        LongTask.count = queries
        for size in (1, 10, 100):
            options = Options(batch_size=size)
            work: Any = NoWork(record)
            live = LiveWork(method, task, seed=size)
            evaluation = Evaluation(live, root / "many", options, work=work)
            early: list[float] = []

            def note(changed: Evaluation, early: list[float] = early) -> None:
                if not early and changed.advance.done >= queries // 10:
                    early.append(memory_mb())

            started = time.perf_counter()
            carry_out([evaluation], InProcess(), on_change=note)
            seconds = time.perf_counter() - started
            assert evaluation.error is None, evaluation.error
            print(
                f"| {queries:,} | {size} | {1e6 * seconds / queries:.1f} | {1e6 * seconds * size / queries:.0f} "
                f"| {early[0]:.0f} | {memory_mb():.0f} |",
                flush=True,
            )


def throughput(method: str, workers: int, shards: int) -> float:
    """Queries a second of ``workers`` processes of one thread."""
    made = METHODS.load(method)()
    times: list[tuple[float, int]] = []

    def note(changed: Evaluation) -> None:
        if changed.advance.done and (not times or changed.advance.done > times[-1][1]):
            times.append((time.perf_counter(), changed.advance.done))

    options = Options(limit=min(made.batch_size * shards * workers, 1000))
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("cfbench.pools.cores", return_value=workers),
        Processes(workers) as pool,
    ):
        [evaluation] = evaluations(
            [(method, made)], [TaskSpec("fashion-mnist")], [0], root=Path(folder), options=options, pool=pool
        )
        carry_out([evaluation], pool, on_change=note)
    assert evaluation.error is None, evaluation.error
    start = times[workers - 1]
    return (times[-1][1] - start[1]) / (times[-1][0] - start[0])


def scaling(methods: list[str], shards: int) -> None:
    print("\n| method | one worker, queries a second | two workers | ratio |\n|---|---|---|---|", flush=True)
    for method in methods:
        one, two, again = (throughput(method, workers, shards) for workers in (1, 2, 1))
        alone = (one + again) / 2
        print(f"| {method} | {one:.2f} and, again, {again:.2f} | {two:.2f} | {two / alone:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--methods", default="dip,ldce")
    parser.add_argument("--shards", type=int, default=4, help="shards a worker")
    options = parser.parse_args()
    scheduling(options.queries)
    scaling([name for name in options.methods.split(",") if name], options.shards)


if __name__ == "__main__":
    main()
