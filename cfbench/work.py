"""The work of one run, a shard at a time, in whatever process it is done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

from torch import nn

from cfbench.errors import MissingResource, RunMismatch
from cfbench.keys import run_key
from cfbench.method import Method
from cfbench.production import Prepared, explain_isolated, judged
from cfbench.protocols import Variant
from cfbench.provenance import peak_memory_mb
from cfbench.record import Record, RunKey
from cfbench.recording import conclude, variants
from cfbench.registry import METHODS, load_dataset
from cfbench.store import KEY_FILE, RunFolder, Session, Shard
from cfbench.task import Task


@dataclass(frozen=True)
class Explained:
    """What became of a shard.

    Attributes:
        positions: of its queries. flipped, failed: how many did. seconds: that explaining took.
        error: message of the first failure. data: the shard, where it is not stored yet.
        reachable: whether the run's folder can be written where the shard was explained.
    """

    positions: range
    flipped: int
    failed: int
    seconds: float
    error: str
    data: bytes | None
    reachable: bool


class Work(Protocol):
    """What a run consists of. Whatever carries it out may be sent to another process."""

    def explain(self, positions: range, folder: Path, *, variant: str, store: bool) -> Explained:
        """Explain queries of the run, or of the variant of a protocol.

        Args:
            folder: of the run. variant: name of the further run of a protocol, or empty.
            store: whether to store the shard, if ``folder`` can be reached; otherwise it is handed back.

        Raises:
            CfbenchError: the adapter broke its contract, or the shard cannot be stored.
        """

    def finish(self, folder: Path, requested: int) -> Record:
        """Score the first ``requested`` queries of a run that holds what it could make, and write its record."""


class LiveWork:
    """The work of a run in this process: method and networks are loaded when they are first needed, and once.

    Args:
        method: what is run. task: what on. seed: base seed. protocols: those whose further runs belong to it.
    """

    def __init__(self, method: Method, task: Task, *, seed: int, protocols: Sequence[str] = ()) -> None:
        self.method = method
        self.task = task
        self.seed = seed
        self.protocols = tuple(protocols)
        self._variants: tuple[tuple[str, ...], list[Variant]] = ((), [])

    @cached_property
    def key(self) -> RunKey:
        """The key of the run."""
        return run_key(self.method, self.task, seed=self.seed)

    @cached_property
    def prepared(self) -> Prepared:
        """The method, prepared."""
        return Prepared.of(self.method, self.task, seed=self.seed)

    def variants(self, folder: Path) -> list[Variant]:
        """The runs of the protocols, once the run's own queries are stored in ``folder``."""
        if self.protocols and self._variants[0] != (content := RunFolder(folder).content()):
            made = variants(self.protocols, RunFolder(folder), self.task, len(self.task), seed=self.seed)
            self._variants = (content, made)
        return self._variants[1]

    def explain(self, positions: range, folder: Path, *, variant: str, store: bool) -> Explained:
        task, seed, store_in = self.task, self.seed, RunFolder(folder)
        reachable = (folder / KEY_FILE).is_file()
        if variant:
            if not reachable:
                raise MissingResource(f"protocols need {folder} where workers write; give an --out that all share")
            chosen = next(each for each in self.variants(folder) if each.name == variant)
            task, seed, store_in = chosen.task, chosen.seed, chosen.folder(folder, self.key)
        method, counter = self.prepared.method, self.prepared.counter
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
            session=Session(
                self.prepared.seconds, self.prepared.forwards, peak_memory_mb(task.device), str(task.device)
            ),
            columns=outcome.columns,
            further=None if outcome.further is None else outcome.further.cpu(),
        )
        flipped, failed = judged(self.judge, task, shard)
        stored = store and reachable
        if stored:
            store_in.write(shard)
        return Explained(
            positions=positions,
            flipped=flipped,
            failed=failed,
            seconds=outcome.seconds,
            error=next(filter(None, shard.errors), ""),
            data=None if stored else shard.to_bytes(),
            reachable=reachable,
        )

    def finish(self, folder: Path, requested: int) -> Record:
        return conclude(type(self.method), self.task, RunFolder(folder), requested, self.protocols)

    @cached_property
    def judge(self) -> nn.Module:
        """The harness's own copy of the classifier explained."""
        return self.task.load(self.task.classifier)


@dataclass(frozen=True)
class TaskSpec:
    """A task by names: see :class:`cfbench.task.Task`."""

    name: str
    targets: str = "near"
    split: str = "test"
    classifier: str | None = None
    device: str = "cpu"

    def load(self) -> Task:
        """The task.

        Raises:
            CfbenchError: there is no such task, or its frozen files are missing or damaged.
        """
        return Task(
            load_dataset(self.name),
            targets=self.targets,
            split=self.split,
            classifier=self.classifier,
            device=self.device,
        )


@dataclass(frozen=True)
class RunSpec:
    """A run by names and numbers: what another process needs to know to do its work.

    Attributes:
        method: registered name, or ``path/to/file.py:Class``. parameters: as JSON. task: what on. seed: base seed.
        protocols: those whose further runs belong to it. digest: of the run's key where it was asked for.
    """

    method: str
    parameters: str
    task: TaskSpec
    seed: int
    protocols: tuple[str, ...]
    digest: str

    def explain(self, positions: range, folder: Path, *, variant: str, store: bool) -> Explained:
        return _live(self).explain(positions, folder, variant=variant, store=store)

    def finish(self, folder: Path, requested: int) -> Record:
        return _live(self).finish(folder, requested)


_task = lru_cache(maxsize=2)(TaskSpec.load)


@lru_cache(maxsize=2)
def _live(spec: RunSpec) -> LiveWork:
    """The work of a run in this process, which keeps that of the last two, and the last two tasks.

    Raises:
        RunMismatch: code or networks are others here than where the run was asked for.
    """
    method = METHODS.load(spec.method).create(json.loads(spec.parameters))
    for load in (_task, TaskSpec.load):
        live = LiveWork(method, load(spec.task), seed=spec.seed, protocols=spec.protocols)
        if live.key.digest == spec.digest:
            return live
    raise RunMismatch(
        f"a worker has another {live.key.method} or other files of {live.key.task} than the client; install the same "
        "release in both, with the same adapters and data"
    )
