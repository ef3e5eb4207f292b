"""An adapter whose images are made by a worker, in this or another Python."""

from __future__ import annotations

import sys
from pathlib import Path

from torch import Tensor

from cfbench.external import Worker
from cfbench.method import Method
from cfbench.view import MethodView


class External(Method):
    """Blend with noise of the query's own, elsewhere."""

    name = "external"
    family = "test"
    citation = "none"
    batch_size = 4

    def __init__(self, *, python: str = sys.executable) -> None:
        self.python = python

    def prepare(self, task: MethodView) -> None:
        self._worker = Worker(self.python, Path(__file__).with_name("external_worker.py"), [0.25])

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        return self._worker.explain(images, targets, noise=self.random.uniform(*images.shape[1:]))
