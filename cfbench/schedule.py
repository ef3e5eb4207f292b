"""Carrying out evaluations: which goes first, what is in flight, what to do when a worker is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass
from time import monotonic
from typing import Any

from cfbench.errors import ExecutorLost
from cfbench.evaluation import Evaluation, Job
from cfbench.pools import Pool

OnChange = Callable[[Evaluation], None]
"""Called with an evaluation that is further than before, or over."""


@dataclass
class _Flight:
    evaluation: Evaluation
    job: Job
    started: float
    stopped: bool = False


def carry_out(
    evaluations: Sequence[Evaluation],
    pool: Pool,
    *,
    hang_limit: float | None = None,
    on_change: OnChange = lambda evaluation: None,
) -> None:
    """Carry out evaluations; each has a record or an error in the end.

    One shard of every run comes first, so that a method that cannot work is known soon, then the runs in which a query
    takes longest, then the rest.

    Args:
        pool: who does the work. hang_limit: seconds after which a worker that is still at one shard is stopped; half of
            its queries are then tried at a time, until the one is found that takes too long, which counts as failed.

    Raises:
        ExecutorLost: nobody is left to do the work; what is stored stays.
    """
    queue = _Queue(evaluations, on_change)
    flying: dict[Future[Any], _Flight] = {}
    try:
        while True:
            while len(flying) < pool.capacity and (chosen := queue.next()) is not None:
                evaluation, job = chosen
                flying[pool.submit(job.call)] = _Flight(evaluation, job, monotonic())
            if not flying:
                break
            done = wait(flying, timeout=_patience(flying.values(), hang_limit), return_when=FIRST_COMPLETED).done
            for future in done:
                queue.landed(flying.pop(future), future)
            for future, flight in flying.items():
                if hang_limit is not None and not flight.stopped and monotonic() - flight.started > hang_limit:
                    flight.stopped = True
                    pool.stop(future)
    finally:
        for evaluation in evaluations:
            evaluation.close()


def _patience(flights: Any, hang_limit: float | None) -> float | None:
    """Seconds until the next of ``flights`` has taken too long."""
    if hang_limit is None:
        return None
    waiting = [flight.started for flight in flights if not flight.stopped]
    return max(min(waiting) + hang_limit - monotonic(), 0.0) + 0.01 if waiting else None


class _Queue:
    """Evaluations that are not over, by what comes first."""

    def __init__(self, evaluations: Sequence[Evaluation], on_change: OnChange) -> None:
        self._new: Iterator[Evaluation] = iter(evaluations)
        self._open: list[Evaluation] = []
        self._on_change = on_change

    def next(self) -> tuple[Evaluation, Job] | None:
        """The next job of all, and whose it is."""
        for evaluation in self._new:
            if self._attempt(evaluation, evaluation.open):
                self._open.append(evaluation)
                self._on_change(evaluation)
                if (job := self._take(evaluation)) is not None:
                    return evaluation, job
        self._open = [evaluation for evaluation in self._open if not evaluation.over]
        for evaluation in sorted(self._open, key=lambda each: -(each.seconds or 0.0)):
            if (job := self._take(evaluation)) is not None:
                return evaluation, job
        return None

    def landed(self, flight: _Flight, future: Future[Any]) -> None:
        """Tell an evaluation what became of a job."""
        evaluation, job = flight.evaluation, flight.job
        try:
            result = future.result()
        except BrokenExecutor as error:
            reason = "took longer than the limit for a shard" if flight.stopped else str(error)
            self._attempt(evaluation, lambda: evaluation.lost(job, reason, again=not flight.stopped))
        except ExecutorLost:
            raise
        except Exception as error:
            evaluation.flying -= 1
            self._fail(evaluation, error)
        else:
            self._attempt(evaluation, lambda: evaluation.received(job, result))
        if evaluation.over and not evaluation.flying:
            evaluation.close()
        self._on_change(evaluation)

    def _take(self, evaluation: Evaluation) -> Job | None:
        jobs: list[Job | None] = []
        return jobs[0] if self._attempt(evaluation, lambda: jobs.append(evaluation.take())) else None

    def _attempt(self, evaluation: Evaluation, step: Callable[[], object]) -> bool:
        """Whether a step of an evaluation went well; if not, the evaluation ends with the error."""
        try:
            step()
        except Exception as error:
            self._fail(evaluation, error)
            return False
        return True

    def _fail(self, evaluation: Evaluation, error: Exception) -> None:
        evaluation.error = evaluation.error or error
        self._on_change(evaluation)
