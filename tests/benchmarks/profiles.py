"""Where the time of every method goes: which operations, and what share of it is products of matrices.

    OMP_NUM_THREADS=1 python tests/benchmarks/profiles.py [--queries 16]

Writes ``reports/profiles.md``. Convolutions and matrix products are the arithmetic of networks; what is beside them,
and not the method's own mathematics, is there to be removed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from cfbench.allocation import keep_freed_memory
from cfbench.errors import CfbenchError
from cfbench.markdown import markdown_table
from cfbench.method import Method
from cfbench.provenance import device_name
from cfbench.registry import METHODS, load_dataset
from cfbench.task import Task
from cfbench.view import MethodView

REPORT = Path(__file__).parents[2] / "reports" / "profiles.md"
PRODUCTS = ("convolution", "mm", "attention")
SLOW = 1.0
"""Seconds of two queries from which a method is profiled with the parameters of its quick check."""


def profiled(method: Method, task: Task, queries: int) -> list[str]:
    """Cells of a row: seconds, share of Python, share of products, the largest other operations."""
    images, targets = task.images(slice(0, queries)), task.targets[:queries]
    with profile(activities=[ProfilerActivity.CPU]) as found:
        started = time.perf_counter()
        method(images, targets, seeds=range(queries))
        seconds = time.perf_counter() - started
    spent = {event.key.removeprefix("aten::"): event.self_cpu_time_total / 1e6 for event in found.key_averages()}
    total = sum(spent.values()) or seconds
    others = {name: each for name, each in spent.items() if not any(part in name for part in PRODUCTS)}
    largest = sorted(others, key=others.__getitem__, reverse=True)[:5]
    return [
        f"{seconds:.2f}",
        f"{max(0, 1 - total / seconds):.0%}",
        f"{1 - sum(others.values()) / total:.0%}",
        ", ".join(f"{name} {others[name] / total:.0%}" for name in largest),
    ]


def row(name: str, task: Task, queries: int) -> Sequence[str]:
    """A row of the table."""
    kind = METHODS.load(name)
    method = kind()
    method.setup(MethodView(task, method.needs))
    started = time.perf_counter()
    method(task.images(slice(0, 2)), task.targets[:2], seeds=range(2))
    quick = kind.quick if time.perf_counter() - started > SLOW else {}
    if quick:
        method = kind(**quick)
        method.setup(MethodView(task, method.needs))
    named = ", ".join(f"{key} {value}" for key, value in quick.items())
    return [f"`{name}`", named, *profiled(method, task, queries)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=16)
    options = parser.parse_args()
    keep_freed_memory()
    task = Task(load_dataset("fashion-mnist"), split="validation")
    rows = []
    for name in METHODS.names():
        try:
            rows.append(row(name, task, options.queries))
            print(rows[-1], flush=True)
        except CfbenchError as error:
            print(f"left out: {name}: {error}", flush=True)
    heads = (
        "method",
        "parameters",
        "seconds",
        "Python and waiting",
        "products, of operations",
        "largest other operations",
    )
    REPORT.write_text(
        "# Where the time of methods goes\n\n"
        f"{options.queries} validation queries of fashion-mnist in one batch, {torch.get_num_threads()} thread, "
        f"{device_name('cpu')}, torch {torch.__version__}, under PyTorch's profiler; parameters are the defaults, or, "
        "where those take long, the ones named.\n\n"
        f"{markdown_table(heads, rows)}\n\nMade by `OMP_NUM_THREADS=1 python tests/benchmarks/profiles.py`.\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
