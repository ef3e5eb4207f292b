"""Methods that score well on some metric without explaining anything, for reports/properties.md."""

from __future__ import annotations

import torch
from torch import Tensor

from cfbench.images import dequantise
from cfbench.method import Method
from cfbench.methods.nearest_unlike import NearestUnlike
from cfbench.needs import Needs
from cfbench.view import MethodView


class Quits(NearestUnlike):
    """``nearest-unlike`` that gives up, by handing back nothing, wherever its answer is far.

    Args:
        far: mean absolute change of a pixel from which on it gives up.
    """

    name = "quits"
    citation = "none; a cheat"

    def __init__(self, *, far: float = 0.08) -> None:
        self.far = far

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        found = super().explain(images, targets)
        found[(found - images).abs().flatten(1).mean(1) >= self.far] = torch.nan
        return found


class Prototype(Method):
    """One answer a class: the training image of the target class that is nearest to the mean of that class."""

    name = "prototype"
    family = "sentinel"
    citation = "none; a cheat"
    needs = Needs(training_data=True)

    def prepare(self, task: MethodView) -> None:
        pool = task.training_data()
        images = dequantise(pool.images)
        classes = torch.cat([task.classifier.predict(part) for part in images.split(500)])
        chosen = []
        for each in range(task.num_classes):
            members = images[(classes == each) & (pool.labels == each)]
            chosen.append(members[(members - members.mean(0)).square().flatten(1).sum(1).argmin()])
        self._prototypes = torch.stack(chosen)

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        return self._prototypes[targets]
