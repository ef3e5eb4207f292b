"""One evaluation: which shards a run still lacks, what became of those handed out, and when it is to be scored."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic

from cfbench.errors import InvalidParameter, MethodFailed
from cfbench.judges import verify
from cfbench.keys import run_path
from cfbench.production import judged
from cfbench.protocols import check_protocols
from cfbench.record import Record
from cfbench.store import RunFolder, Session, Shard, cut
from cfbench.task import Task
from cfbench.work import Explained, LiveWork, Work

TRIALS = 20
"""Queries after which a new run that has seen only failures is given up."""

ATTEMPTS = 3
"""How often a shard is begun whose worker dies; then it is halved, until the query is found that kills workers."""


@dataclass(frozen=True)
class Options:
    """How runs are carried out.

    Attributes:
        limit: only the first queries, or what is stored if that is more; the record is partial.
        batch_size: queries a shard, by default the method's.
        time_limit: seconds a run after which no further shard is handed out; what is left counts as failed.
        max_failures: failed queries after which the same happens. retry_failed: explain stored failures again.

    Raises:
        InvalidParameter: a number is not above 0, or a limit below 0.
    """

    limit: int | None = None
    batch_size: int | None = None
    time_limit: float | None = None
    max_failures: int | None = None
    retry_failed: bool = False

    def __post_init__(self) -> None:
        if (self.limit is not None and self.limit < 1) or (self.batch_size is not None and self.batch_size < 1):
            raise InvalidParameter(
                f"limit is {self.limit} and batch size {self.batch_size}; expected whole numbers of at least 1"
            )
        if (self.time_limit or 0) < 0 or (self.max_failures or 0) < 0:
            raise InvalidParameter(
                f"time limit is {self.time_limit} and max failures {self.max_failures}; expected at least 0"
            )


@dataclass(frozen=True)
class Advance:
    """How far a run, or that of a protocol's ``variant``, is: queries done, flipped, failed of those requested."""

    done: int
    flipped: int
    failed: int
    requested: int
    variant: str = ""

    def with_shard(self, count: int, flipped: int, failed: int) -> Advance:
        """After a further shard of ``count`` queries."""
        return replace(self, done=self.done + count, flipped=self.flipped + flipped, failed=self.failed + failed)


@dataclass(frozen=True)
class Job:
    """A call that any process can make: it explains queries at ``positions``, or, without any, scores the run."""

    call: Callable[[], Explained | Record]
    positions: range | None = None


class Evaluation:
    """One run on its way from an empty or half-filled folder to a record.

    Ask it for jobs, tell it what became of each; the folder is its own from :meth:`open` to :meth:`close`.

    Args:
        live: the run in this process; loads nothing until it must. work: what jobs call, by default ``live`` itself.
        root: folder below which the run's own goes. options: how it is carried out.
        shared: whether those who do the work are known to reach the folder.
    """

    def __init__(
        self, live: LiveWork, root: Path, options: Options, *, work: Work | None = None, shared: bool = True
    ) -> None:
        check_protocols(live.protocols)
        self.live = live
        self.work: Work = work or live
        self.options = options
        self.folder = RunFolder(run_path(root, live.key))
        self.record: Record | None = None
        self.error: Exception | None = None
        self.advance = Advance(0, 0, 0, len(live.task) if options.limit is None else min(options.limit, len(live.task)))
        self.seconds: float | None = None
        """Seconds a query takes, as far as is known."""
        self.flying = 0
        self._stages: Iterator[_Stage] = iter(())
        self._stage: _Stage | None = None
        self._started: float | None = None
        self._shared = shared
        self._resources = ExitStack()

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self.record is not None or self.error is not None

    def open(self) -> None:
        """Take the folder and see what is there.

        Raises:
            CfbenchError: another process holds it, it holds another run, or frozen files are missing or damaged.
        """
        verify(self.live.task.dataset)
        self._resources.enter_context(self.folder.held(requested=self.advance.requested))
        self.folder.claim(self.live.key)
        self.folder.discard_damaged()
        stop = max((positions.stop for positions in self.folder.positions()), default=0)
        self.requested = max(self.advance.requested, stop)
        self._stages = self._all_stages()
        self._stage = next(self._stages)

    def close(self) -> None:
        """Let go of the folder."""
        self._resources.close()

    def take(self) -> Job | None:
        """The next job; None if there is none now, because all is done or jobs handed out must end first."""
        while not self.over and self._stage is not None:
            if (positions := self._stage.take(self._stopped())) is not None:
                self._started = self._started or monotonic()
                call = partial(
                    self.work.explain,
                    positions,
                    self.folder.path,
                    variant=self._stage.advance.variant,
                    store=not self._stage.fresh,
                )
                return self._handed_out(Job(call, positions))
            if self.flying:
                return None
            self._stage.flush()
            self._stage = next(self._stages, None)
            if self._stage is None:
                work = self.work if self._shared else self.live
                return self._handed_out(Job(partial(work.finish, self.folder.path, self.requested)))
        return None

    def received(self, job: Job, result: Explained | Record) -> None:
        """A job is done.

        Raises:
            MethodFailed: the first ``TRIALS`` queries of a new run, or all of them, failed.
            CfbenchError: what it made cannot be stored.
        """
        self.flying -= 1
        if isinstance(result, Record):
            self.record = result
            return
        assert self._stage is not None
        self.seconds = result.seconds / len(result.positions)
        self._shared = result.reachable
        self._stage.receive(result, last=not self.flying)
        self.advance = self._stage.advance

    def lost(self, job: Job, reason: str, *, again: bool) -> None:
        """Whoever did a job is gone; with ``again`` it may have had nothing to do with the job."""
        self.flying -= 1
        if job.positions is None or self._stage is None:
            self.error = MethodFailed(f"{self.folder.path} could not be scored: {reason}; give the same command again")
        elif self._stage.retry(job.positions, again=again):
            self._stage.receive(self._unsurvived(self._stage.task, job.positions, reason), last=not self.flying)
            self.advance = self._stage.advance

    def _handed_out(self, job: Job) -> Job:
        self.flying += 1
        return job

    def _stopped(self) -> bool:
        limit, failures = self.options.time_limit, self.options.max_failures
        late = limit is not None and self._started is not None and monotonic() - self._started > limit
        return late or limit == 0 or (failures is not None and self.advance.failed > failures)

    def _all_stages(self) -> Iterator[_Stage]:
        """The run's own queries, then those of each further run of its protocols; each is looked at when it begins."""
        yield self._stage_of(self.folder, self.live.task, "")
        for variant in self.live.variants(self.folder.path):
            folder = variant.folder(self.folder.path, self.live.key)
            folder.claim(variant.key(self.live.key))
            folder.discard_damaged()
            yield self._stage_of(folder, variant.task, variant.name)

    def _stage_of(self, folder: RunFolder, task: Task, variant: str) -> _Stage:
        advance = Advance(0, 0, 0, self.requested, variant)
        again: list[range] = []
        for shard in folder.shards():
            if self.options.retry_failed and any(shard.errors):
                again.append(shard.positions)
            else:
                advance = advance.with_shard(len(shard.errors), *judged(self.live.judge, task, shard))
        self.advance = advance
        size = self.options.batch_size or self.live.method.batch_size
        fresh = not variant and next(folder.positions(), None) is None
        return _Stage(
            self.live.method.name, folder, task, advance, again, cut(folder.missing(self.requested), size), fresh=fresh
        )

    def _unsurvived(self, task: Task, positions: range, reason: str) -> Explained:
        """A shard of one query whose worker did not survive it: the query stands in, flagged."""
        [position] = positions
        shard = Shard(
            first=position,
            images=task.stored[position : position + 1].cpu(),
            errors=[reason],
            seconds=0.0,
            forwards=0,
            backwards=0,
            generated=0,
            session=Session(0.0, 0, None, str(task.device)),
        )
        return Explained(positions, 0, 1, 0.0, reason, shard.to_bytes(), self._shared)


class _Stage:
    """The queries of a run, or of a protocol's further run: which are left, and what is known of the others.

    Until a query of a new run succeeds, shards are held back: a method that fails on everything leaves nothing behind.
    In the runs of a protocol failures are findings, and stored.
    """

    def __init__(
        self,
        method: str,
        folder: RunFolder,
        task: Task,
        advance: Advance,
        again: list[range],
        ranges: Iterator[range],
        *,
        fresh: bool,
    ) -> None:
        self.method = method
        self.folder = folder
        self.task = task
        self.advance = advance
        self.fresh = fresh
        self._again = deque(again)
        self._ranges = ranges
        self._following = next(ranges, None)
        self._held: list[Explained] = []
        self._begun: Counter[range] = Counter()

    def take(self, stopped: bool) -> range | None:
        """Positions of the next shard; none if there is none left, or no further one is to begin."""
        if stopped or (self.fresh and self.advance.done >= TRIALS):
            return None
        if self._again:
            return self._again.popleft()
        positions, self._following = self._following, next(self._ranges, None)
        return positions

    def receive(self, result: Explained, *, last: bool) -> None:
        """Store what is handed back, or hold it; ``last`` says that no shard is out."""
        self._begun.pop(result.positions, None)
        self.advance = self.advance.with_shard(len(result.positions), result.flipped, result.failed)
        if result.data is not None:
            self._held.append(result)
        left = self._following is not None or bool(self._again)
        if self.fresh and self.advance.failed == self.advance.done:
            if last and (self.advance.done >= TRIALS or not left):
                raise MethodFailed(
                    f"method {self.method} failed on each of its first {self.advance.done} queries: "
                    f"{self._held[0].error}; nothing was stored: fix the adapter and run again"
                )
            return
        self.fresh = False
        self.flush()

    def flush(self) -> None:
        """Store what was held back."""
        for held in self._held:
            assert held.data is not None
            self.folder.write_bytes(held.positions, held.data)
        self._held.clear()

    def retry(self, positions: range, *, again: bool) -> bool:
        """Put a lost shard back, whole or in halves; true if it is one query that cannot be done."""
        self._begun[positions] += 1
        if again and self._begun[positions] < ATTEMPTS:
            self._again.appendleft(positions)
            return False
        if len(positions) == 1:
            return True
        middle = len(positions) // 2
        for half in (positions[middle:], positions[:middle]):
            self._again.appendleft(half)
            self._begun[half] = ATTEMPTS - 1
        return False
