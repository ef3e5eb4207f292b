"""Many small evaluations in linear algebra, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

T = TypeVar("T")


def evaluated(figure: Callable[[T], float], arguments: Iterable[T]) -> NDArray[np.float64]:
    """``figure`` at each of ``arguments``, in order, float64.

    As many run at once as PyTorch has threads, each with one thread for BLAS: its own threads slow small matrices
    down. NumPy and SciPy leave the interpreter's lock while they compute. So the bits do not depend on the number of
    threads.
    """
    with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return np.array(list(pool.map(figure, arguments)))


@cache
def _libraries() -> Any:
    """The numerical libraries, NumPy's and SciPy's; finding them takes milliseconds."""
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
