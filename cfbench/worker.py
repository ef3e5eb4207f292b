"""How a worker process starts: it imports nothing heavy before the number of its threads is set."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import connection, parent_process

from cfbench.allocation import keep_freed_memory

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def start(threads: int) -> None:
    """Let this process compute with ``threads`` threads, leave Ctrl-C to its parent, and end when its parent does."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
