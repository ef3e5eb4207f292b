"""Who does the work that a command asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfbench.errors import InvalidParameter

if TYPE_CHECKING:
    from cfbench.pools import Pool


def make_pool(
    executor: str, workers: int | None, scheduler: str | None, *, device: str, hang_limit: float | None
) -> Pool:
    """The pool that options describe; it starts work when it is entered or first asked.

    Raises:
        InvalidParameter: options that do not go together. MissingResource: dask is not installed.
        ExecutorLost: no scheduler answers at ``scheduler``.
    """
    if executor == "dask":
        from cfbench.dask_pool import DaskPool

        return DaskPool(scheduler, workers=workers, resources={} if device == "cpu" else {"GPU": 1})
    if scheduler is not None:
        raise InvalidParameter(f"--scheduler {scheduler} needs --executor dask")
    from cfbench.pools import InProcess, Processes

    if workers is None and hang_limit is not None:
        raise InvalidParameter("--hang-limit stops worker processes; give --workers N as well")
    return InProcess() if workers is None else Processes(workers)
