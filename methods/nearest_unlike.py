"""Reference: a real image of the target class."""

from __future__ import annotations

import torch
from torch import Tensor

from cfbench.images import dequantise
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.view import MethodView


class NearestUnlike(Method):
    """The nearest training image, in squared pixel distance, that the classifier puts in the target class.

    Always valid and perfectly realistic, but far. A query whose target class no training image has fails.
    """

    name = "nearest-unlike"
    family = "sentinel"
    citation = (
        "after Keane & Smyth: Good counterfactuals and where to find them: a case-based technique for generating "
        "counterfactuals for explainable AI (XAI), ICCBR 2020, arXiv 2005.13997"
    )
    needs = Needs(training_data=True)
    batch_size = 100

    def prepare(self, task: MethodView) -> None:
        self._images = dequantise(task.training_data().images)
        self._classes = torch.cat([task.classifier.predict(part) for part in self._images.split(500)])

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        distances = torch.cdist(images.flatten(1), self._images.flatten(1))
        distances[targets[:, None] != self._classes[None, :]] = torch.inf
        nearest = distances.min(dim=1)
        chosen = self._images[nearest.indices]
        chosen[nearest.values.isinf()] = torch.nan
        return chosen
