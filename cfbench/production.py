"""Running a method on queries of a task: batches, isolation of failures, what came of them."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from cfbench.batch import decided
from cfbench.classifier import CallCounter
from cfbench.errors import CfbenchError
from cfbench.method import Method, Outcome
from cfbench.seeds import derive_seed
from cfbench.store import Shard, among
from cfbench.task import Task
from cfbench.view import MethodView


def explain_isolated(method: Method, task: Task, positions: range, *, seed: int) -> Outcome:
    """Explain a batch; if the method raises, explain its queries one by one, so that only the guilty ones fail.

    Raises:
        CfbenchError: the adapter broke its contract, or says that it cannot work here.
    """
    images = task.images(slice(positions.start, positions.stop))
    targets = task.targets[positions.start : positions.stop]
    names = task.queries["query_id"]
    seeds = [derive_seed(seed, task.key, names[position]) for position in positions]
    started = time.perf_counter()
    try:
        return method(images, targets, seeds=seeds)
    except CfbenchError:
        raise
    except Exception as error:
        seconds = time.perf_counter() - started
        kept = task.stored[positions.start : positions.stop]
        if len(positions) == 1:
            return Outcome(kept, [f"{type(error).__name__}: {error}"], seconds)
        single = [explain_isolated(method, task, range(p, p + 1), seed=seed) for p in positions]
        return _join(single, kept, seconds)


def _join(parts: list[Outcome], kept: Tensor, seconds: float) -> Outcome:
    """One outcome of those of single queries ``kept``; ``seconds`` went into the attempt that failed before them."""
    columns = {name for part in parts for name in part.columns}
    blank = torch.full((1,), torch.nan, dtype=torch.float64)
    return Outcome(
        images=torch.cat([part.images for part in parts]),
        errors=[error for part in parts for error in part.errors],
        seconds=seconds + sum(part.seconds for part in parts),
        columns={name: torch.cat([part.columns.get(name, blank) for part in parts]) for name in sorted(columns)},
        further=among(
            kept,
            [(slice(row, row + 1), part.further) for row, part in enumerate(parts) if part.further is not None],
        ),
    )


@dataclass(frozen=True)
class Prepared:
    """A method that has prepared for a task, its call counter, and what preparing cost."""

    method: Method
    counter: CallCounter
    seconds: float
    forwards: int

    @classmethod
    def of(cls, method: Method, task: Task, *, seed: int) -> Prepared:
        """Have ``method`` prepare for ``task``."""
        started = time.monotonic()
        view = MethodView(task, method.needs)
        method.setup(view, seed=derive_seed(seed, task.key, "prepare"))
        return cls(method, view.counter, time.monotonic() - started, view.counter.forwards)


@torch.inference_mode()
def judged(judge: torch.nn.Module, task: Task, shard: Shard) -> tuple[int, int]:
    """How many queries of a shard flipped, by the harness's own copy of the classifier, and how many failed."""
    targets = task.targets[shard.positions.start : shard.positions.stop]
    images = shard.images.to(task.device).float().div(255)
    failed = torch.tensor([bool(error) for error in shard.errors], device=task.device)
    flipped = (decided(judge(images)) == targets) & ~failed
    return int(flipped.sum()), int(failed.sum())
