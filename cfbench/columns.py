"""Columns of figures that grow a batch at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class Column:
    """Figures of consecutive queries in one array whose room doubles when it is full.

    A list of the batches' small tensors would lie scattered between the large ones that come and go, which keeps the
    memory of these from being given back: that costs far more than the figures.
    """

    def __init__(self) -> None:
        self._room: NDArray[Any] = np.empty(0)
        self._count = 0

    def append(self, values: Tensor) -> None:
        """Take in the figures ``[B, ...]`` of a batch; all have the type and further dimensions of the first."""
        added = values.cpu().numpy()
        end = self._count + len(added)
        if end > len(self._room):
            room = np.empty((max(end, 2 * len(self._room)), *added.shape[1:]), dtype=added.dtype)
            if self._count:
                room[: self._count] = self.values
            self._room = room
        self._room[self._count : end] = added
        self._count = end

    @property
    def values(self) -> NDArray[Any]:
        """All figures ``[N, ...]``."""
        return self._room[: self._count]
