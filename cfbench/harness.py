"""Running a method on a task: shards, resume, failures, cost, record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cfbench import provenance
from cfbench.errors import CfbenchError, InvalidParameter, MethodFailed, RunMismatch
from cfbench.files import write_atomic
from cfbench.judges import REQUIRED, Judges, verify
from cfbench.keys import run_key, run_path
from cfbench.method import Method, Outcome
from cfbench.pieces import pieces_of
from cfbench.record import TABLE, Card, Cost, Provenance, Queries, Record, Reported, Score
from cfbench.scoring import Scored, logged_columns, score
from cfbench.seeds import derive_seed
from cfbench.store import RunFolder, Session, Shard, contiguous
from cfbench.task import Task
from cfbench.view import MethodView


@dataclass(frozen=True)
class Advance:
    """How far a run is: queries done, flipped and failed among those requested."""

    done: int
    flipped: int
    failed: int
    requested: int


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
        if len(positions) == 1:
            kept = task.stored[positions.start : positions.stop]
            return Outcome(kept, [f"{type(error).__name__}: {error}"], seconds)
        single = [explain_isolated(method, task, range(p, p + 1), seed=seed) for p in positions]
        return _join(single, seconds)


def _join(parts: list[Outcome], seconds: float) -> Outcome:
    """One outcome of several; ``seconds`` went into the attempt that failed before them."""
    columns = {name for part in parts for name in part.columns}
    blank = torch.full((1,), torch.nan, dtype=torch.float64)
    return Outcome(
        images=torch.cat([part.images for part in parts]),
        errors=[error for part in parts for error in part.errors],
        seconds=seconds + sum(part.seconds for part in parts),
        columns={name: torch.cat([part.columns.get(name, blank) for part in parts]) for name in sorted(columns)},
    )


def produce(
    method: Method,
    task: Task,
    folder: RunFolder,
    ranges: list[range],
    *,
    seed: int,
    time_limit: float | None,
    advance: Advance,
    on_advance: OnAdvance,
) -> None:
    """Explain and store the queries of ``ranges``, a shard each; ``advance`` is how far the run is before.

    Until a query of a new run succeeds, shards are held back: a method that fails on everything leaves nothing behind.

    Raises:
        MethodFailed: the first ``TRIALS`` queries of a new run, or all of them, failed.
        CfbenchError: the adapter broke its contract; finished shards stay.
    """
    judge = task.load(task.only("classifier"))
    started = time.monotonic()
    view = MethodView(task, method.needs)
    method.setup(view, seed=derive_seed(seed, task.key, "prepare"))
    counter = view.counter
    setup = (time.monotonic() - started, counter.forwards)
    fresh = next(folder.positions(), None) is None
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
            session=Session(*setup, provenance.peak_memory_mb(task.device), str(task.device)),
            columns=outcome.columns,
        )
        held.append(shard)
        advance = _advanced(advance, judge, task, shard)
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
def _advanced(advance: Advance, judge: torch.nn.Module, task: Task, shard: Shard) -> Advance:
    targets = task.targets[shard.positions.start : shard.positions.stop]
    images = shard.images.to(task.device).float().div(255)
    failed = torch.tensor([bool(error) for error in shard.errors], device=task.device)
    flipped = (judge(images).argmax(1) == targets) & ~failed
    return Advance(
        done=advance.done + len(shard.errors),
        flipped=advance.flipped + int(flipped.sum()),
        failed=advance.failed + int(failed.sum()),
        requested=advance.requested,
    )


def evaluate(
    method: Method,
    task: Task,
    *,
    root: Path = Path("runs"),
    seed: int = 0,
    limit: int | None = None,
    batch_size: int | None = None,
    time_limit: float | None = None,
    retry_failed: bool = False,
    on_advance: OnAdvance = lambda advance: None,
) -> tuple[Record, Path]:
    """Run a method on a task and score it: resumes what is stored, writes the record and the query table.

    Args:
        root: folder below which the run's own folder goes. seed: base seed.
        limit: only the first queries, or what is stored if that is more; the record is partial.
        batch_size: queries a call, by default the method's.
        time_limit: seconds after which no further batch is started; what is left counts as failed.
        retry_failed: explain stored failures again. on_advance: called after every shard.

    Returns:
        The record and the run's folder.

    Raises:
        CfbenchError: bad options, a broken contract, damaged or unwritable files.
    """
    if (limit is not None and limit < 1) or (batch_size is not None and batch_size < 1):
        raise InvalidParameter(f"limit is {limit} and batch size {batch_size}; expected whole numbers of at least 1")
    verify(task.dataset)
    key = run_key(method, task, seed=seed)
    folder = RunFolder(run_path(root, key))
    folder.claim(key)
    folder.discard_damaged()
    stored = list(folder.positions())
    requested = max(len(task) if limit is None else min(limit, len(task)), stored[-1].stop if stored else 0)

    judge = task.load(task.only("classifier"))
    advance = Advance(0, 0, 0, requested)
    again: list[range] = []
    for shard in folder.shards():
        if retry_failed and any(shard.errors):
            again.append(shard.positions)
        else:
            advance = _advanced(advance, judge, task, shard)
    on_advance(advance)
    ranges = again + list(contiguous(folder.missing(requested), batch_size or method.batch_size))
    if ranges:
        produce(method, task, folder, ranges, seed=seed, time_limit=time_limit, advance=advance, on_advance=on_advance)
    scored = score(pieces_of(folder, task, requested), Judges.of(task))
    record = Record(
        key=key,
        card=Card(family=method.family, citation=method.citation, access=method.needs.access, track=method.needs.track),
        **_measured(folder, task, scored),
        provenance=_provenance(task, scored),
        reported={name: Reported(value=value, source=source) for name, (value, source) in method.reported.items()},
    )
    write_results(folder, task, record, scored)
    return record, folder.path


def _measured(folder: RunFolder, task: Task, scored: Scored) -> dict[str, Any]:
    """The fields of a record that follow from what is stored."""
    requested, failed = len(scored.table), scored.failed
    status = "failed" if failed == requested else "complete" if scored.done == len(task) else "partial"
    queries = Queries(expected=len(task), requested=requested, done=scored.done, failed=failed)
    return {"status": status, "queries": queries, "scores": scored.scores, "cost": _cost(folder)}


def write_results(folder: RunFolder, task: Task, record: Record, scored: Scored) -> None:
    """Write the query table and the record of a scored run."""
    requested = record.queries.requested
    queries = task.queries.head(requested).reset_index(drop=True)
    table = queries.join(scored.table).join(logged_columns(folder, requested))
    write_atomic(folder.path / TABLE, lambda path: table.to_parquet(path, index=False))
    record.write(folder.path)


def rescore(folder: RunFolder, task: Task) -> tuple[Record, dict[str, dict[str, Score]]]:
    """Score a finished run again from its stored images and rewrite its record; who ran it stays as it was.

    Scoring takes as many threads as then, because sums over threads round differently.

    Returns:
        The new record and the scores it had before.

    Raises:
        RunMismatch: the run was made on other splits or with other networks than the task has here.
    """
    old = Record.read(folder.path)
    here = {name: task.dataset.entry(name).sha256 for name in old.key.networks}
    if (task.dataset.split_hash, here) != (old.key.split_hash, old.key.networks):
        raise RunMismatch(
            f"{folder.path} was made with other splits or networks than {task.key} has here; install the release that "
            "made it"
        )
    with _threads(old.provenance.threads):
        scored = score(pieces_of(folder, task, old.queries.requested), Judges.of(task))
    images = old.provenance.model_copy(update={"images": scored.images_hash})
    new = old.model_copy(update={**_measured(folder, task, scored), "provenance": images})
    write_results(folder, task, new, scored)
    return new, old.scores


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Have torch use ``count`` threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cost(folder: RunFolder) -> Cost:
    shards = list(folder.shards())
    sessions = [shard.session for shard in shards]
    seconds = sum(shard.seconds for shard in shards)
    return Cost(
        setup_seconds=max((session.setup_seconds for session in sessions), default=0.0),
        explain_seconds=seconds,
        seconds_per_query=seconds / max(sum(len(shard.errors) for shard in shards), 1),
        setup_forwards=max((session.setup_forwards for session in sessions), default=0),
        forwards=sum(shard.forwards for shard in shards),
        backwards=sum(shard.backwards for shard in shards),
        generated=sum(shard.generated for shard in shards),
        peak_mb=max((session.peak_mb for session in sessions if session.peak_mb), default=None),
        device=" ".join(sorted({session.device for session in sessions})),
    )


def _provenance(task: Task, scored: Scored) -> Provenance:
    dataset = task.dataset
    judges = [name for role in REQUIRED for name in dataset.names(role)]
    entries = {name: dataset.entry(name) for name in judges}
    return provenance.provenance(
        task.device,
        networks={name: entry.sha256 for name, entry in entries.items()},
        accuracies={name: entry.quality["accuracy"] for name, entry in entries.items() if "accuracy" in entry.quality},
        images=scored.images_hash,
    )
