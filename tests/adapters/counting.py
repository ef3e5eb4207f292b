"""Adapters that count what is asked of them, and one that refuses what is the target already."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from cfbench.method import Method
from cfbench.view import MethodView


class Counting(Method):
    """Add noise; count preparations and explained queries in the class."""

    name = "counting"
    family = "test"
    citation = "none"
    batch_size = 10
    prepared: ClassVar[int] = 0
    explained: ClassVar[int] = 0

    def prepare(self, task: MethodView) -> None:
        type(self).prepared += 1

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        type(self).explained += len(images)
        return (images + self.random.uniform(*images.shape[1:], high=0.2)).clamp(0, 1)


class Refusing(Method):
    """Halve the brightness; fail on dark corners of images that are of the target class already."""

    name = "refusing"
    family = "test"
    citation = "none"
    batch_size = 10

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        there = self.task.classifier.predict(images) == targets
        if (there & (images[:, 0, 0, 0] < 0.1)).any():
            raise ValueError("it is that already")
        return images * 0.5
