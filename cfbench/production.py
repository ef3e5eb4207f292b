"""Running a method on the queries of a task: batches, isolation of failures, shards."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cfbench.batch import decided
from cfbench.classifier import CallCounter
from cfbench.errors import CfbenchError, MethodFailed
from cfbench.method import Method, Outcome
from cfbench.provenance import peak_memory_mb
from cfbench.seeds import derive_seed
from cfbench.store import RunFolder, Session, Shard, among, contiguous
from cfbench.task import Task
from cfbench.view import MethodView


@dataclass(frozen=True)
class Advance:
    """How far a run, or that of a protocol's ``variant``, is: queries done, flipped, failed of those requested."""

    done: int
    flipped: int
    failed: int
    requested: int
    variant: str = ""


OnAdvance = Callable[[Advance], None]

TRIALS = 20
"""Queries after which a new run that has seen only failures is given up."""


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


def produce(
    prepared: Prepared,
    task: Task,
    folder: RunFolder,
    ranges: list[range],
    *,
    seed: int,
    time_limit: float | None = None,
    advance: Advance,
    on_advance: OnAdvance = lambda advance: None,
) -> None:
    """Explain and store the queries of ``ranges``, a shard each; ``advance`` is how far the run is before.

    Until a query of a new run succeeds, shards are held back: a method that fails on everything leaves nothing behind.
    In the runs of a protocol failures are findings, and stored.

    Raises:
        MethodFailed: the first ``TRIALS`` queries of a new run, or all of them, failed.
        CfbenchError: the adapter broke its contract; finished shards stay.
    """
    judge = task.load(task.classifier)
    method, counter = prepared.method, prepared.counter
    started = time.monotonic() - prepared.seconds
    fresh = not advance.variant and next(folder.positions(), None) is None
    held: list[Shard] = []
    for index, positions in enumerate(ranges):
        if time_limit is not None and time.monotonic() - started > time_limit:
            break
        before = (counter.forwards, counter.backwards, counter.generated)
        outcome = explain_isolated(method, task, positions, seed=seed)
        shard = Shard(
            first=positions.start,
            images=outcome.images.cpu(),
            errors=outcome.errors,
            seconds=outcome.seconds,
            forwards=counter.forwards - before[0],
            backwards=counter.backwards - before[1],
            generated=counter.generated - before[2],
            session=Session(prepared.seconds, prepared.forwards, peak_memory_mb(task.device), str(task.device)),
            columns=outcome.columns,
            further=None if outcome.further is None else outcome.further.cpu(),
        )
        held.append(shard)
        advance = advanced(advance, judge, task, shard)
        if fresh and advance.failed == advance.done:
            if advance.done < TRIALS and index + 1 < len(ranges):
                continue
            raise MethodFailed(
                f"method {method.name} failed on each of its first {advance.done} queries: {held[0].errors[0]}; "
                "nothing was stored: fix the adapter and run again"
            )
        for finished in held:
            folder.write(finished)
        held.clear()
        on_advance(advance)
    for finished in held:
        folder.write(finished)


@torch.inference_mode()
def advanced(advance: Advance, judge: torch.nn.Module, task: Task, shard: Shard) -> Advance:
    """How far the run is after ``shard``, judged by the harness's own copy of the classifier."""
    targets = task.targets[shard.positions.start : shard.positions.stop]
    images = shard.images.to(task.device).float().div(255)
    failed = torch.tensor([bool(error) for error in shard.errors], device=task.device)
    flipped = (decided(judge(images)) == targets) & ~failed
    return Advance(
        done=advance.done + len(shard.errors),
        flipped=advance.flipped + int(flipped.sum()),
        failed=advance.failed + int(failed.sum()),
        requested=advance.requested,
        variant=advance.variant,
    )


@dataclass(frozen=True)
class Options:
    """How a run is carried out: queries a call, seconds after which no further batch starts, retries, reports."""

    batch_size: int
    time_limit: float | None
    retry_failed: bool
    on_advance: OnAdvance


def complete(
    prepare: Callable[[], Prepared],
    task: Task,
    folder: RunFolder,
    requested: int,
    *,
    seed: int,
    options: Options,
    variant: str = "",
) -> None:
    """Produce what a run folder lacks of the first ``requested`` queries; only then is ``prepare`` called."""
    judge = task.load(task.classifier)
    advance = Advance(0, 0, 0, requested, variant)
    again: list[range] = []
    for shard in folder.shards():
        if options.retry_failed and any(shard.errors):
            again.append(shard.positions)
        else:
            advance = advanced(advance, judge, task, shard)
    options.on_advance(advance)
    ranges = again + list(contiguous(folder.missing(requested), options.batch_size))
    if ranges:
        produce(
            prepare(),
            task,
            folder,
            ranges,
            seed=seed,
            time_limit=options.time_limit,
            advance=advance,
            on_advance=options.on_advance,
        )
