"""Running a method on a task, in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cfbench.evaluation import Evaluation, Options
from cfbench.method import Method
from cfbench.pools import InProcess
from cfbench.record import Record
from cfbench.schedule import carry_out
from cfbench.stage import Advance
from cfbench.task import Task
from cfbench.work import LiveWork

OnAdvance = Callable[[Advance], None]


def evaluate(
    method: Method,
    task: Task,
    *,
    root: Path = Path("runs"),
    seed: int = 0,
    limit: int | None = None,
    batch_size: int | None = None,
    time_limit: float | None = None,
    max_failures: int | None = None,
    retry_failed: bool = False,
    protocols: Sequence[str] = (),
    on_advance: OnAdvance = lambda advance: None,
) -> tuple[Record, Path]:
    """Run a method on a task and score it: resumes what is stored, writes the record and the query table.

    Args:
        root: folder below which the run's own folder goes. seed: base seed.
        limit, batch_size, time_limit, max_failures, retry_failed: see :class:`cfbench.evaluation.Options`.
        protocols: names of protocols to run and score as well, see :mod:`cfbench.protocols`.
        on_advance: called after every shard.

    Returns:
        The record and the run's folder.

    Raises:
        CfbenchError: bad options, a broken contract, damaged or unwritable files, a folder that another process writes.
    """
    options = Options(limit, batch_size, time_limit, max_failures, retry_failed)
    evaluation = Evaluation(LiveWork(method, task, seed=seed, protocols=protocols), root, options)
    carry_out([evaluation], InProcess(), on_change=lambda changed: on_advance(changed.advance))
    if evaluation.error is not None:
        raise evaluation.error
    assert evaluation.record is not None
    return evaluation.record, evaluation.folder.path
