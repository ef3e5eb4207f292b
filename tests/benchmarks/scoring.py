"""Where the time of scoring stored counterfactuals goes.

    OMP_NUM_THREADS=2 python tests/benchmarks/scoring.py [--rounds 3]

Writes ``reports/scoring-speed.md``. Times are by the wall: run nothing beside it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar
from unittest import mock

import torch

from cfbench import batch as batches
from cfbench import scoring
from cfbench.harness import evaluate
from cfbench.judges import Judges, members_of
from cfbench.metrics.base import FAMILIES
from cfbench.networks import FeatureNetwork
from cfbench.pieces import Piece, pieces_of
from cfbench.provenance import device_name
from cfbench.registry import METHODS, load_dataset
from cfbench.store import RunFolder
from cfbench.task import Task

ROOT = Path(__file__).parent.parent.parent

QUERIES = 1000
P = ParamSpec("P")
T = TypeVar("T")


class Clock:
    """Seconds by what is running, each counted for the innermost."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def running(self, label: str) -> Iterator[None]:
        self._tick()
        self._running.append(label)
        yield
        self._tick()
        self._running.pop()

    def _tick(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.spent[self._running[-1]] += now - self._since
        self._since = now

    def timed(self, work: Callable[P, T], label: str) -> Callable[P, T]:
        def run(*arguments: P.args, **options: P.kwargs) -> T:
            with self.running(label):
                return work(*arguments, **options)

        return run


def timed_score(pieces: list[Piece], task: Task, clock: Clock) -> None:
    """Score once; networks, insertion and metrics' families are told apart by ``clock``."""
    judges = Judges.of(task)
    for name in (member.name for member in members_of(task.dataset)):
        network = judges.network(name)
        if isinstance(network, FeatureNetwork):
            network.blocks = clock.timed(network.blocks, f"networks: {name}")
        else:
            for part in (network, network.encoder):
                part.forward = clock.timed(part.forward, "networks: autoencoders")
    insertion = clock.timed(batches.insertion_curves, "networks: classifier, insertion")
    metrics = scoring.metrics_for(judges)
    for metric in metrics:
        for part in ("update", "compute", "blocked"):
            setattr(metric, part, clock.timed(getattr(metric, part), metric.family))
    with (
        mock.patch.object(batches, "insertion_curves", insertion),
        mock.patch.object(scoring, "metrics_for", return_value=metrics),
        clock.running("reading, hashing, table"),
    ):
        scoring.score(iter(pieces), judges)


def attacked(task: Task) -> list[Piece]:
    """A stored run of ``pgd``, which changes nearly every pixel: the most work for the insertion curves."""
    with tempfile.TemporaryDirectory() as root:
        _, folder = evaluate(METHODS.load("pgd")(), task, root=Path(root))
        return list(pieces_of(RunFolder(folder), task, QUERIES))


def speed(rounds: int) -> list[str]:
    task = Task(load_dataset("fashion-mnist"))
    pieces = attacked(task)
    totals, clocks = [], []
    for _ in range(rounds):
        clock = Clock()
        started = time.perf_counter()
        timed_score(pieces, task, clock)
        totals.append(time.perf_counter() - started)
        clocks.append(clock.spent)
        print(f"scored in {totals[-1]:.1f} s", flush=True)
    labels = sorted(set().union(*clocks), key=lambda label: -statistics.median(clock[label] for clock in clocks))
    lines = [
        f"Seconds to score {QUERIES} stored counterfactuals of `pgd` on `fashion-mnist` with every metric that can be "
        f"computed without official weights: **{statistics.median(totals):.1f}** ({min(totals):.1f} to "
        f"{max(totals):.1f} in {rounds} rounds, loading included). Where they go (a network's time is its own line, "
        "whichever metric asked first; families are what is left):",
        "",
        "| | seconds | share |",
        "|---|---|---|",
    ]
    for label in labels:
        share = statistics.median(clock[label] / total for clock, total in zip(clocks, totals, strict=True))
        name = f"metrics: {label}" if label in FAMILIES else label
        lines.append(f"| {name} | {statistics.median(clock[label] for clock in clocks):.2f} | {share:.0%} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    parts = [
        "# Speed of scoring",
        "",
        f"{torch.get_num_threads()} threads, {device_name('cpu')}, torch {torch.__version__}.",
        "",
        "## A run of 1,000",
        "",
        *speed(options.rounds),
        "",
        "Against pytorch-fid, lpips and torchmetrics: [speed.md](speed.md).",
        "",
        "Made by `OMP_NUM_THREADS=2 python tests/benchmarks/scoring.py`.",
    ]
    (ROOT / "reports" / "scoring-speed.md").write_text("\n".join(parts) + "\n")
    print("\n".join(parts))


if __name__ == "__main__":
    main()
