"""Who does the work: this process, or processes of this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from typing import Any, Protocol, Self

from cfbench.errors import InvalidParameter
from cfbench.worker import start


class Pool(Protocol):
    """What carries out calls; leave the ``with`` block to end it."""

    apart: bool
    """Whether the work is done in other processes, which must be told what to load."""

    shares_files: bool
    """Whether whoever does the work is known to see the same files."""

    @property
    def capacity(self) -> int:
        """Calls that it takes at a time."""

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        """Have a call made. The future fails with ``BrokenExecutor`` if whoever makes it is lost."""

    def stop(self, future: Future[Any]) -> None:
        """Stop whoever makes the call behind ``future``, which then fails with ``BrokenExecutor``."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class InProcess:
    """This process makes each call when it is submitted. It cannot stop one."""

    apart = False
    shares_files = True
    capacity = 1

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)
        return future

    def stop(self, future: Future[Any]) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Processes:
    """Processes of this machine, one call at a time each; the loss of one leaves the others alone.

    Args:
        workers: how many; each computes with ``cores / workers`` threads, set before torch starts.

    Raises:
        InvalidParameter: less than one worker.
    """

    apart = True
    shares_files = True

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise InvalidParameter(f"workers is {workers}; expected at least 1")
        self.capacity = workers
        self._threads = max(cores() // workers, 1)
        self._idle: list[_Worker] = [_Worker(self._threads) for _ in range(workers)]
        self._busy: dict[Future[Any], _Worker] = {}

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        self._recover()
        worker = self._idle.pop()
        future = worker.executor.submit(call)
        self._busy[future] = worker
        return future

    def stop(self, future: Future[Any]) -> None:
        if future in self._busy:
            self._busy[future].kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in (*self._idle, *self._busy.values()):
            worker.kill()

    def _recover(self) -> None:
        """Take back workers whose call is done; a lost one is replaced."""
        for future in [future for future in self._busy if future.done()]:
            worker = self._busy.pop(future)
            if isinstance(future.exception(), BrokenExecutor):
                worker.kill()
                worker = _Worker(self._threads)
            self._idle.append(worker)


class _Worker:
    """An executor of one process, which starts at the first call."""

    def __init__(self, threads: int) -> None:
        self.executor = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=start, initargs=(threads,))
        self._pid: Future[int] = self.executor.submit(os.getpid)

    def kill(self) -> None:
        with suppress(BrokenProcessPool, ProcessLookupError):
            os.kill(self._pid.result(), signal.SIGKILL)
        self.executor.shutdown(wait=False, cancel_futures=True)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
