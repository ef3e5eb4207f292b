"""One evaluation: which shards a run still lacks, what became of those handed out, and when it is to be scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

from cfbench.errors import InvalidParameter, MethodFailed
from cfbench.judges import verify
from cfbench.keys import run_path
from cfbench.production import judged
from cfbench.protocols import check_protocols
from cfbench.record import Record
from cfbench.stage import ATTEMPTS, Advance, Stage
from cfbench.store import RunFolder, Session, Shard, cut
from cfbench.task import Task
from cfbench.work import Explained, LiveWork, Work


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
        self._stages: Iterator[Stage] = iter(())
        self._stage: Stage | None = None
        self._started: float | None = None
        self._scorings = 0
        self._shared = shared
        self._resources = ExitStack()

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self.record is not None or self.error is not None

    def open(self) -> None:
        """Take the folder and see what is there.

        Raises:
            CfbenchError: another process holds it, it holds another run, or images or frozen files are missing or
                damaged.
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
        while not self.over:
            if self._stage is None:
                work = self.work if self._shared else self.live
                call = partial(work.finish, self.folder.path, self.requested)
                return None if self.flying else self._handed_out(Job(call))
            if (positions := self._stage.take(self._stopped())) is not None:
                self._started = self._started or monotonic()
                variant, store = self._stage.advance.variant, not self._stage.fresh
                explain = partial(self.work.explain, positions, self.folder.path, variant=variant, store=store)
                return self._handed_out(Job(explain, positions))
            if self.flying:
                return None
            self._stage.flush()
            self._stage = next(self._stages, None)
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
            self._scorings += 1
            if not again or self._scorings == ATTEMPTS:
                self.error = MethodFailed(
                    f"{self.folder.path} could not be scored: {reason}; its images are stored: run the command again"
                )
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

    def _all_stages(self) -> Iterator[Stage]:
        """The run's own queries, then those of each further run of its protocols; each is looked at when it begins."""
        yield self._stage_of(self.folder, self.live.task, "")
        for variant in self.live.variants(self.folder.path):
            folder = variant.folder(self.folder.path, self.live.key)
            folder.claim(variant.key(self.live.key))
            folder.discard_damaged()
            yield self._stage_of(folder, variant.task, variant.name)

    def _stage_of(self, folder: RunFolder, task: Task, variant: str) -> Stage:
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
        return Stage(
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
