"""How fast methods are: batches against single images, arithmetic against the machine's peak, the harness's share."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from cfbench.errors import MethodFailed
from cfbench.harness import evaluate
from cfbench.method import Method
from cfbench.production import Prepared, explain_isolated
from cfbench.task import Task

SHAPES = ((64, 3, 32), (32, 5, 28), (128, 3, 16), (64, 1, 64))
"""Channels, kernel and side of the convolutions of which the fastest counts as this machine's peak."""


@dataclass(frozen=True)
class Speed:
    """How fast a method explains queries.

    Attributes:
        queries: of which a round consisted. single, batched: queries a second, one at a time and together; medians.
        ratios: batched to single, a round each. gflop: floating-point operations of convolutions and matrix products a
            query, in billions.
    """

    method: str
    queries: int
    single: float
    batched: float
    ratios: tuple[float, ...]
    gflop: float

    @property
    def gflops(self) -> float:
        """Billions of operations a second, in batches."""
        return self.gflop * self.batched


class _Operations(TorchDispatchMode):
    """Counts floating-point operations of convolutions and matrix products, by torch's own formulas but for one.

    torch counts the gradient of a grouped convolution's weights as if every group met every other.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        with self:
            parts = func.decompose(*args, **(kwargs or {}))
        if parts is not NotImplemented:
            return parts
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket is torch.ops.aten.convolution_backward:
            self.total += _gradients(*args)
        elif func.overloadpacket in flop_registry:
            self.total += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=result)
        return result


def _gradients(slope: Tensor, images: Tensor, weight: Tensor, *rest: Any) -> int:
    """Operations of a convolution's backward: the gradients of images and of weights take what forward took, each."""
    *_, transposed, _, _, asked = rest
    forward: int = 2 * (images if transposed else slope).numel() * weight[0].numel()
    return forward * int(sum(asked[:2]))


def method_speed(method: Method, task: Task, *, queries: int, rounds: int) -> Speed:
    """Time ``method`` on the first queries of a task, by turns one at a time and together.

    Args:
        queries: of a round, at most the method's batch size. rounds: how many, after one that does not count.

    Raises:
        CfbenchError: the method cannot work here, or fails on one of these queries.
    """
    prepared = Prepared.of(method, task, seed=0)
    count = min(queries, method.batch_size, len(task))

    def seconds(positions: range) -> float:
        outcome = explain_isolated(prepared.method, task, positions, seed=0)
        if failed := next(filter(None, outcome.errors), ""):
            raise MethodFailed(f"method {method.name} failed on a query: {failed}; it cannot be timed")
        return outcome.seconds

    def together() -> float:
        return seconds(range(count))

    def alone() -> float:
        return sum(seconds(range(each, each + 1)) for each in range(count))

    seconds(range(1))
    with _Operations() as operations:
        together()
    times = [(alone(), together()) for _ in range(rounds)]
    return Speed(
        method=method.name,
        queries=count,
        single=count / median(single for single, _ in times),
        batched=count / median(batched for _, batched in times),
        ratios=tuple(sorted(single / batched for single, batched in times)),
        gflop=operations.total / count / 1e9,
    )


def peak_gflops(rounds: int = 5) -> float:
    """Billions of operations a second of the fastest of a few convolutions, forwards, float32, channels last."""
    best = 0.0
    with torch.inference_mode():
        for channels, kernel, side in SHAPES:
            images = torch.rand(32, channels, side, side).contiguous(memory_format=torch.channels_last)
            weights = torch.rand(channels, channels, kernel, kernel).contiguous(memory_format=torch.channels_last)
            operations = 2 * 32 * channels**2 * kernel**2 * side**2
            seconds = least_seconds(partial(F.conv2d, images, weights, padding="same"), rounds)
            best = max(best, operations / seconds / 1e9)
    return best


def harness_seconds(task: Task, *, queries: int) -> tuple[float, float]:
    """Seconds a query that the harness takes to hand out, check, quantise, judge and store it, and then to score it."""
    from cfbench.registry import METHODS

    with tempfile.TemporaryDirectory() as folder:
        marks: list[float] = []
        started = time.perf_counter()
        record, _ = evaluate(
            METHODS.load("identity")(),
            task,
            root=Path(folder),
            limit=queries,
            on_advance=lambda advance: marks.append(time.perf_counter()),
        )
        ended = time.perf_counter()
    assert record.cost is not None
    produced = marks[-2] - started - record.cost.explain_seconds - record.cost.setup_seconds
    count = record.queries.requested
    return produced / count, (ended - marks[-2]) / count


def command_seconds(arguments: Sequence[str], rounds: int = 5) -> float:
    """Least seconds that a command of cfbench takes, as a process of its own."""
    command = [sys.executable, "-m", "cfbench.cli", *arguments]
    return least_seconds(lambda: subprocess.run(command, check=True, capture_output=True), rounds)


def least_seconds(call: Callable[[], object], rounds: int) -> float:
    """Least seconds of several calls, after one that does not count."""
    call()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)
