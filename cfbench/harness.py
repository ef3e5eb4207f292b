"""Running a method on a task: shards, resume, failures, cost, record."""

from __future__ import annotations

import inspect
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from cfbench import provenance
from cfbench.errors import CfbenchError, InvalidParameter
from cfbench.files import sha256_file, write_atomic
from cfbench.method import Method, Outcome
from cfbench.record import Card, Cost, Provenance, Queries, Record, Reported, RunKey, Score
from cfbench.scoring import Scored, logged_columns, score
from cfbench.seeds import derive_seed
from cfbench.store import RunFolder, Session, Shard, contiguous
from cfbench.task import Task
from cfbench.view import MethodView

TABLE = "queries.parquet"


@dataclass(frozen=True)
class Advance:
    """How far a run is: queries done, flipped and failed among those requested."""

    done: int
    flipped: int
    failed: int
    requested: int


OnAdvance = Callable[[Advance], None]


class MethodFailed(CfbenchError):
    """Every query of a run's first batch failed, so the run was not started."""


def run_key(method: Method, task: Task, *, seed: int) -> RunKey:
    """The key of a run: adapter code and parameters, task, networks and seed."""
    names = [task.only("classifier"), *(name for role in method.needs.networks for name in task.dataset.names(role))]
    return RunKey(
        method=method.name,
        method_version=method.version,
        adapter=sha256_file(Path(inspect.getfile(type(method)))),
        parameters=method.parameters(),
        task=task.key,
        targets=task.rule,
        split=task.split,
        split_hash=task.dataset.split_hash,
        networks={name: task.dataset.entry(name).sha256 for name in names},
        seed=seed,
    )


def run_path(root: Path, key: RunKey) -> Path:
    """Folder of a run below ``root``: readable, and different for different keys."""
    split = "" if key.split == "test" else f"-{key.split}"
    return root / f"{key.task}-{key.targets}{split}" / f"{key.method}-seed{key.seed}-{key.digest[:8]}"


def explain_isolated(method: Method, task: Task, positions: range, *, seed: int) -> Outcome:
    """Explain a batch; if the method raises, explain its queries one by one, so that only the guilty ones fail.

    Raises:
        CfbenchError: the adapter broke its contract, or says that it cannot work here.
    """
    images = task.images(slice(positions.start, positions.stop))
    targets = task.targets[positions.start : positions.stop]
    names = task.queries["query_id"]
    seeds = [derive_seed(seed, task.key, names[position]) for position in positions]
    try:
        return method(images, targets, seeds=seeds)
    except CfbenchError:
        raise
    except Exception as error:
        if len(positions) == 1:
            kept = task.stored[positions.start : positions.stop]
            return Outcome(kept, [f"{type(error).__name__}: {error}"], 0.0)
        single = [explain_isolated(method, task, range(p, p + 1), seed=seed) for p in positions]
        return _join(single)


def _join(parts: list[Outcome]) -> Outcome:
    columns = {name for part in parts for name in part.columns}
    blank = torch.full((1,), torch.nan, dtype=torch.float64)
    return Outcome(
        images=torch.cat([part.images for part in parts]),
        errors=[error for part in parts for error in part.errors],
        seconds=sum(part.seconds for part in parts),
        columns={name: torch.cat([part.columns.get(name, blank) for part in parts]) for name in sorted(columns)},
    )


def produce(
    method: Method,
    task: Task,
    folder: RunFolder,
    requested: int,
    *,
    seed: int,
    batch_size: int,
    time_limit: float | None,
    on_advance: OnAdvance,
) -> None:
    """Explain and store the queries below ``requested`` that ``folder`` lacks, shard by shard.

    Raises:
        MethodFailed: nothing is stored yet and the whole first batch fails.
        CfbenchError: the adapter broke its contract; finished shards stay.
    """
    judge = task.load(task.only("classifier"))
    missing = folder.missing(requested)
    advance = Advance(0, 0, 0, requested)
    for shard in folder.shards():
        advance = _advanced(advance, judge, task, shard)
    on_advance(advance)
    if not missing:
        return

    started = time.monotonic()
    view = MethodView(task, method.needs)
    method.setup(view)
    counter = view.counter
    setup = (time.monotonic() - started, counter.forwards)
    for positions in contiguous(missing, batch_size):
        if time_limit is not None and time.monotonic() - started > time_limit:
            return
        before = (counter.forwards, counter.backwards, counter.generated)
        outcome = explain_isolated(method, task, positions, seed=seed)
        if all(outcome.errors) and advance.done == 0:
            raise MethodFailed(
                f"method {method.name} failed on all {len(positions)} queries of its first batch: {outcome.errors[0]}; "
                "nothing was stored: fix the adapter and run again"
            )
        shard = Shard(
            first=positions.start,
            images=outcome.images.cpu(),
            errors=outcome.errors,
            seconds=outcome.seconds,
            forwards=counter.forwards - before[0],
            backwards=counter.backwards - before[1],
            generated=counter.generated - before[2],
            session=Session(*setup, provenance.peak_memory_mb(), str(task.device)),
            columns=outcome.columns,
        )
        folder.write(shard)
        advance = _advanced(advance, judge, task, shard)
        on_advance(advance)


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
        limit: only the first queries; the record is partial. batch_size: queries a call, by default the method's.
        time_limit: seconds after which no further batch is started; what is left counts as failed.
        retry_failed: explain stored failures again. on_advance: called after every shard.

    Returns:
        The record and the run's folder.

    Raises:
        CfbenchError: bad options, a broken contract, damaged or unwritable files.
    """
    if (limit is not None and limit < 1) or (batch_size is not None and batch_size < 1):
        raise InvalidParameter(f"limit is {limit} and batch size {batch_size}; expected whole numbers of at least 1")
    requested = len(task) if limit is None else min(limit, len(task))
    key = run_key(method, task, seed=seed)
    folder = RunFolder(run_path(root, key))
    folder.claim(key)
    folder.discard_damaged()
    if retry_failed:
        folder.discard_failed()
    produce(
        method,
        task,
        folder,
        requested,
        seed=seed,
        batch_size=batch_size or method.batch_size,
        time_limit=time_limit,
        on_advance=on_advance,
    )
    scored = score(folder, task, requested)
    record = Record(
        key=key,
        card=Card(family=method.family, citation=method.citation, access=method.needs.access, track=method.needs.track),
        status=_status(scored, expected=len(task)),
        queries=Queries(expected=len(task), requested=requested, done=scored.done, failed=scored.failed),
        scores=scored.scores,
        cost=_cost(folder, requested),
        provenance=_provenance(task, scored),
        reported={name: Reported(value=value, source=source) for name, (value, source) in method.reported.items()},
    )
    write_results(folder, record, scored)
    return record, folder.path


def write_results(folder: RunFolder, record: Record, scored: Scored) -> None:
    """Write the query table and the record of a scored run."""
    requested = record.queries.requested
    table = scored.table.join(logged_columns(folder, requested))
    write_atomic(folder.path / TABLE, lambda path: table.to_parquet(path, index=False))
    record.write(folder.path)


def rescore(folder: RunFolder, task: Task) -> tuple[Record, dict[str, dict[str, Score]]]:
    """Score a finished run again from its stored images and rewrite its record.

    Returns:
        The new record and the scores it had before.
    """
    old = Record.read(folder.path)
    scored = score(folder, task, old.queries.requested)
    new = old.model_copy(update={"scores": scored.scores, "provenance": _provenance(task, scored)})
    write_results(folder, new, scored)
    return new, old.scores


def _status(scored: Scored, *, expected: int) -> Literal["complete", "partial", "failed"]:
    if scored.failed == len(scored.table):
        return "failed"
    return "complete" if scored.done == expected else "partial"


def _cost(folder: RunFolder, requested: int) -> Cost:
    shards = [shard for shard in folder.shards() if shard.first < requested]
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
    commit, dirty = provenance.git_state()
    dataset = task.dataset
    judges = [name for role in ("classifier", "oracle", "extractor") for name in dataset.names(role)]
    entries = {name: dataset.entry(name) for name in judges}
    return Provenance(
        cfbench=provenance.version(),
        commit=commit,
        dirty=dirty,
        python=platform.python_version(),
        torch=torch.__version__,
        platform=platform.platform(),
        threads=torch.get_num_threads(),
        device_name=provenance.device_name(str(task.device)),
        networks={name: entry.sha256 for name, entry in entries.items()},
        accuracies={name: entry.quality["accuracy"] for name, entry in entries.items() if "accuracy" in entry.quality},
        images=scored.images_hash,
    )
