"""An adapter that hands in several counterfactuals of a query, and what can be wrong with them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from cfbench.images import dequantise
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.view import MethodView


class Several(Method):
    """Return a training image that the classifier puts in the target class; hand in two more, and the query.

    Args:
        fault: of what is handed in. refuse: whether to fail on queries whose corner is dark.
    """

    name = "several"
    family = "test"
    citation = "none"
    needs = Needs(training_data=True)
    batch_size = 10

    def __init__(self, *, fault: Literal["", "shape", "type", "range"] = "", refuse: bool = False) -> None:
        self.fault = fault
        self.refuse = refuse

    def prepare(self, task: MethodView) -> None:
        pool = dequantise(task.training_data().images)
        said = task.classifier.predict(pool)
        self._known = torch.stack([pool[said == label][:3] for label in range(task.num_classes)])

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        if self.refuse and (images[:, 0, 0, 0] < 0.1).any():
            raise ValueError("too dark")
        known = self._known[targets]
        others = torch.cat([known[:, 1:], images[:, None]], dim=1)
        if self.fault == "shape":
            others = others[:, 0]
        elif self.fault == "type":
            others = others.double()
        elif self.fault == "range":
            others = torch.cat([others, others + 1, others * torch.nan], dim=1)
        self.also(others)
        return known[:, 0]
