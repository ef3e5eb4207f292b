"""From stored counterfactuals to scores and a record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from cfbench import provenance
from cfbench.dataset import Dataset
from cfbench.errors import RunMismatch
from cfbench.files import write_atomic
from cfbench.judges import Judges
from cfbench.method import Method
from cfbench.pieces import pieces_of
from cfbench.protocols import Variant, completed, variants_of
from cfbench.record import TABLE, Card, Cost, Provenance, Queries, Record, Reported, RunKey, Score
from cfbench.scoring import Scored, logged_columns, score
from cfbench.store import RunFolder
from cfbench.task import Task


def conclude(method: type[Method], task: Task, folder: RunFolder, requested: int, protocols: Sequence[str]) -> Record:
    """Score the first ``requested`` queries of a run that holds what it could make; write its record and query table.

    Args:
        method: what made it. task: what it ran on. protocols: those whose runs are stored as well.
    """
    key = folder.key()
    scored = _scored(folder, task, key, requested, protocols)
    record = Record(
        key=key,
        card=Card(family=method.family, citation=method.citation, access=method.needs.access, track=method.needs.track),
        **_measured(folder, task, scored),
        provenance=_provenance(task, scored),
        reported={name: Reported(value=value, source=source) for name, (value, source) in method.reported.items()},
        protocols=list(protocols),
    )
    write_results(folder, task, record, scored)
    return record


def variants(protocols: Sequence[str], folder: RunFolder, task: Task, requested: int, *, seed: int) -> list[Variant]:
    """The runs of several protocols on the first ``requested`` queries of a run whose own queries are stored."""
    if not protocols:
        return []
    made = completed(torch.cat([piece.stored for piece in pieces_of(folder, task, requested)]), task)
    return [variant for protocol in protocols for variant in variants_of(protocol, task, made, seed=seed)]


def _scored(folder: RunFolder, task: Task, key: RunKey, requested: int, protocols: Sequence[str]) -> Scored:
    reruns = {
        variant.name: pieces_of(variant.folder(folder.path, key), variant.task, requested)
        for variant in variants(protocols, folder, task, requested, seed=key.seed)
    }
    return score(pieces_of(folder, task, requested), Judges.of(task), reruns=reruns, protocols=protocols)


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
        RunInUse: another process writes the run.
    """
    old = Record.read(folder.path)
    then = old.provenance.networks | old.key.networks
    here = {name: task.dataset.entry(name).sha256 for name in then}
    if (task.dataset.split_hash, here) != (old.key.split_hash, then):
        raise RunMismatch(
            f"{folder.path} was made with other splits or networks than {task.key} has here; install the release that "
            "made it"
        )
    requested = old.queries.requested
    with folder.held(requested=requested), _threads(old.provenance.threads):
        scored = _scored(folder, task, old.key, requested, old.protocols)
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
    shards = [replace(shard, images=shard.images[:0], further=None) for shard in folder.shards()]
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
    return provenance.provenance(task.device, images=scored.images_hash, **networks_of(task.dataset))


def networks_of(dataset: Dataset) -> dict[str, Any]:
    """The fields of a provenance that name the networks of a data set: their hashes, the accuracies of classifiers."""
    entries = {name: dataset.entry(name) for name in dataset.built()}
    return {
        "networks": {name: entry.sha256 for name, entry in entries.items()},
        "accuracies": {
            name: entry.quality["accuracy"] for name, entry in entries.items() if "accuracy" in entry.quality
        },
    }
