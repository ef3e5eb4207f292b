"""Adapters that do worse than raise: they kill their process, or never end."""

from __future__ import annotations

import os
import signal
import time

from torch import Tensor

from cfbench.method import Method


class _Faulty(Method):
    """Misbehaves on the query whose first pixel has the 8-bit value ``level``."""

    family = "test"
    citation = "none"
    batch_size = 2

    def __init__(self, *, level: int = -1) -> None:
        self.level = level

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        if ((images[:, 0, 0, 0] * 255).round() == self.level).any():
            self.misbehave()
        return 1 - images

    def misbehave(self) -> None:
        raise NotImplementedError


class KillsItself(_Faulty):
    """Ends its process as a system without memory would."""

    name = "kills-itself"

    def misbehave(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Hangs(_Faulty):
    """Never ends."""

    name = "hangs"
    batch_size = 1

    def misbehave(self) -> None:
        time.sleep(3600)
