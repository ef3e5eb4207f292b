"""What distances between sets take: vectors of one width whose squares and sixth powers float64 still holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cfbench.errors import InvalidParameter

Floats = NDArray[np.float64]

LARGEST = float(np.finfo(np.float32).max)
"""Networks give float32; the cubic kernel takes sixth powers of it."""


def usable(vectors: Floats) -> NDArray[np.bool_]:
    """Which of ``vectors`` [N, D] are finite and of values that float32 holds, ``[N]``."""
    return np.asarray((np.abs(vectors) <= LARGEST).all(axis=1))


def checked(*sets: Floats) -> list[Floats]:
    """Sets of vectors ``[N, D]``, N >= 0, as float64.

    Raises:
        InvalidParameter: they have no features or different numbers of them, or one is not :func:`usable`.
    """
    widths = {part.shape[1] for part in sets}
    if len(widths) > 1 or 0 in widths:
        raise InvalidParameter(f"vectors have {sorted(widths)} features; expected one number of them, at least 1")
    made = [np.asarray(part, dtype=np.float64) for part in sets]
    for part in made:
        if not (fine := usable(part)).all():
            worst = part[int(fine.argmin())]
            raise InvalidParameter(
                f"vectors are not finite, or beyond float32, such as {worst[np.abs(worst).argmax()]:.4g}; distances "
                "need finite values"
            )
    return made
