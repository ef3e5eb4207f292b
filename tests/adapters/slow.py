"""An adapter that takes its time and notes every query it explains."""

from __future__ import annotations

import time
from pathlib import Path

from torch import Tensor

from cfbench.method import Method


class Slow(Method):
    """Add noise, slowly.

    Args:
        seconds: time a batch. notes: file that gets one line a call with the number of queries.
    """

    name = "slow"
    family = "test"
    citation = "none"
    batch_size = 4

    def __init__(self, *, seconds: float = 0.1, notes: str = "") -> None:
        self.seconds = seconds
        self.notes = notes

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        time.sleep(self.seconds)
        if self.notes:
            with Path(self.notes).open("a") as file:
                file.write(f"{len(images)}\n")
        return (images + self.random.uniform(*images.shape[1:], high=0.2)).clamp(0, 1)
