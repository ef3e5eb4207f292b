"""Workers of dask.distributed, on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Future
from contextlib import ExitStack
from typing import Any, Self

from cfbench.errors import ExecutorLost, InvalidParameter, MissingResource
from cfbench.pools import cores
from cfbench.worker import THREAD_VARIABLES

try:
    import dask
    from distributed import Client, KilledWorker, LocalCluster
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError
except ImportError as error:
    raise MissingResource("dask is not installed: pip install 'cfbench-vision[dask]'") from error

TIMEOUT = 30
"""Seconds in which a scheduler must answer."""


class DaskPool:
    """The workers of a dask scheduler.

    Args:
        scheduler: its address; without one, a scheduler and workers are started here, bound to 127.0.0.1.
        workers: how many are started here, by default one; not for a scheduler that is there.
        resources: what a call needs of a worker, as workers were told they have, such as ``{"GPU": 1}``.

    Raises:
        InvalidParameter: ``workers`` beside ``scheduler``. ExecutorLost: no scheduler answers.
    """

    apart = True
    shares_files = False

    def __init__(self, scheduler: str | None, *, workers: int | None, resources: Mapping[str, float]) -> None:
        if scheduler is not None and workers is not None:
            raise InvalidParameter("--workers starts workers here; leave it out with --scheduler, which has its own")
        self._resources = dict(resources)
        self._local = scheduler is None
        self._opened = ExitStack()
        self._submitted: dict[Future[Any], Any] = {}
        if self._local:
            scheduler = self._start(workers or 1)
        try:
            self._client = self._opened.enter_context(Client(scheduler, timeout=TIMEOUT, set_as_default=False))
        except (OSError, ValueError) as error:
            self._opened.close()
            raise ExecutorLost(
                f"no dask scheduler answers at {scheduler}: {error}; start one (dask scheduler), or leave out "
                "--scheduler"
            ) from error

    def _start(self, workers: int) -> str:
        threads = dict.fromkeys(THREAD_VARIABLES, str(max(cores() // workers, 1)))
        dask.config.set({"distributed.nanny.pre-spawn-environ": threads})
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            resources=self._resources or None,
            memory_limit=0,
            silence_logs=50,
        )
        address: str = self._opened.enter_context(cluster).scheduler_address
        return address

    @property
    def capacity(self) -> int:
        """Threads of all workers, of which each makes one call at a time; at least 1, to wait for workers to come."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        threads: int = sum(worker["nthreads"] for worker in workers)
        return max(threads, 1)

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        outcome: Future[Any] = Future()
        submitted = self._client.submit(call, pure=False, retries=0, resources=self._resources or None)
        self._submitted[outcome] = submitted
        submitted.add_done_callback(lambda done: self._finish(done, outcome))
        return outcome

    def stop(self, future: Future[Any]) -> None:
        """Restart the workers that are at the call; they must have a nanny, as dask's own have."""
        key = self._submitted[future].key
        at_it = [address for address, keys in self._client.processing().items() if key in keys]
        self._submitted[future].cancel()
        if at_it:
            self._client.restart_workers(at_it, raise_for_error=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def _finish(self, done: Any, outcome: Future[Any]) -> None:
        self._submitted.pop(outcome, None)
        try:
            outcome.set_result(done.result(timeout=TIMEOUT))
        except KilledWorker as error:
            outcome.set_exception(BrokenExecutor(str(error)))
        except (FutureCancelledError, CommClosedError, TimeoutError) as error:
            lost = self._client.status != "running"
            outcome.set_exception(
                ExecutorLost(
                    "the dask scheduler is gone; finished shards are stored: start it and give the same command again"
                )
                if lost
                else BrokenExecutor(f"the call was cancelled: {error}")
            )
        except Exception as error:
            outcome.set_exception(error)
