"""Memory that is freed stays with the process, because taking it again from the system costs a fault for every page."""

from __future__ import annotations

import ctypes
import os

MALLOC_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")
"""Variables by which a user, or a scheduler, has decided otherwise."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
GIB = 1 << 30


def keep_freed_memory() -> None:
    """Have the C library keep freed blocks of up to 1 GiB for the next tensors of their size.

    By default glibc maps large tensors anew and unmaps them when they are freed, so that every step of an optimisation
    pays for the same pages again. Blocks that no longer fit are kept as well, so that the peak may be higher, by a
    tenth in one run of colour images at 64 pixels. Another C library, or one that a variable of ``MALLOC_VARIABLES``
    sets, is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None and not any(name in os.environ for name in MALLOC_VARIABLES):
        mallopt(M_MMAP_THRESHOLD, GIB)
        mallopt(M_TRIM_THRESHOLD, 2 * GIB - 1)
