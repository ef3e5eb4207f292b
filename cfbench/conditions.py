"""What a diffusion model is told that a counterfactual should be."""

from __future__ import annotations

import torch
from torch import Tensor

from cfbench.errors import MissingResource
from cfbench.networks import Diffusion
from cfbench.networks.conditions import as_weights
from cfbench.view import MethodView


class Condition:
    """The weights under which a diffusion model makes images of the classes asked for.

    Those of a model of classes are 1 for the target alone. For a model of attributes, a network of role ``attributes``
    reads their probabilities in the query, and those that are named as a class become 1 where that is the target and 0
    where it is not.

    Raises:
        MissingResource: the model is made of attributes that no network reads, or none of which is a class.
    """

    def __init__(self, task: MethodView, model: Diffusion) -> None:
        self._classes = model.classes
        self._named: list[tuple[int, int]] = []
        if model.classes == task.num_classes:
            return
        self._reader = task.network("attributes")
        classes = [name.lower() for name in task.class_names]
        attributes = [name.lower().replace("_", " ") for name in task.attribute_names]
        self._named = [(attributes.index(name), label) for label, name in enumerate(classes) if name in attributes]
        if not self._named:
            raise MissingResource(
                "the diffusion model is made of attributes, and none of them is a class "
                f"({', '.join(task.class_names)}); choose another task"
            )

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """Weights ``[B, classes or attributes]`` of queries ``[B, C, H, W]`` and classes asked for ``[B]``."""
        if not self._named:
            return as_weights(targets, self._classes)
        with torch.no_grad():
            weights: Tensor = self._reader(images).sigmoid()
        for attribute, label in self._named:
            weights[:, attribute] = (targets == label).to(weights.dtype)
        return weights
