"""What a method sees of a task: the classifier, and what its ``needs`` declare, nothing else."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from cfbench.classifier import CallCounter, Classifier
from cfbench.dataset import Images
from cfbench.errors import AccessDenied, MissingResource
from cfbench.needs import READERS, Needs
from cfbench.task import HEADS, Task
from cfbench.truth import Truth

RESERVED = ("classifier", "oracle", "attribute-oracle", "extractor", "autoencoder")
"""Roles that ``needs.networks`` cannot name: the classifier comes by itself, the others judge."""


class MethodView:
    """The side of a task that a method may see.

    Args:
        task: the task. needs: what the method declared; anything else is refused.

    Raises:
        AccessDenied: the needs name a reserved role.
    """

    def __init__(self, task: Task, needs: Needs) -> None:
        for role in needs.networks:
            if role in RESERVED:
                raise AccessDenied(
                    f"networks of role {role!r} are never handed to a method by needs.networks; the classifier comes "
                    "as task.classifier, the others judge"
                )
        self._task = task
        self._needs = needs
        self.counter = CallCounter()
        self.guarded: nn.Module = task.load(task.classifier)
        self.classifier = Classifier(
            self.guarded, num_classes=task.num_classes, gradients=needs.gradients, counter=self.counter
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        return self._task.dataset.image_shape

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self._task.num_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._task.dataset.classes

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names of the attributes that networks of role ``attributes`` read and generators may be made of."""
        return self._task.dataset.attributes

    @property
    def device(self) -> torch.device:
        """Where images and networks are."""
        return self._task.device

    def training_data(self) -> Images:
        """The training pool, 8-bit images ``[N, C, H, W]`` and labels ``[N]``.

        Raises:
            AccessDenied: the method did not declare ``needs.training_data``.
        """
        if not self._needs.training_data:
            raise AccessDenied("the training pool was not declared; set needs = Needs(training_data=True)")
        pool = self._task.dataset.split("pool")
        return Images(pool.images.to(self.device), pool.labels.to(self.device))

    @property
    def truth(self) -> Truth:
        """The renderer of a synthetic task, by which the true answer is known.

        Raises:
            AccessDenied: the method did not declare ``needs.truth``.
            MissingResource: the task has real images.
        """
        if not self._needs.truth:
            raise AccessDenied("the renderer was not declared; set needs = Needs(truth=True)")
        if self._task.dataset.truth is None:
            raise MissingResource(
                f"{self._task.key} has no renderer that knows the true factors; choose a synthetic task, such as shapes"
            )
        return self._task.dataset.truth

    def networks(self, role: str) -> dict[str, nn.Module]:
        """The frozen networks of a declared role by name; images that go through a call of one count as generated.

        A network with several ways in names the parts whose calls count in ``counted``. Networks that only
        read images or the classifier's feature maps generate nothing and are not counted.

        Raises:
            AccessDenied: the method did not declare the role in ``needs.networks``.
            MissingResource: such a network is not built yet, or reads another classifier than the one explained; says
                what to do.
        """
        if role not in self._needs.networks:
            raise AccessDenied(f"networks of role {role!r} were not declared; set needs = Needs(networks=({role!r},))")
        if role in HEADS and not self._task.explains_own:
            return self._own_head(role)
        loaded = {name: self._task.load(name) for name in self._task.dataset.names(role)}
        if role not in READERS:
            for network in loaded.values():
                for part in getattr(network, "counted", ("",)):
                    network.get_submodule(part).register_forward_hook(self._count)
        return loaded

    def network(self, role: str) -> nn.Module:
        """The one frozen network of a declared role; raises as :meth:`networks` does, also where there is none."""
        found = self.networks(role)
        if len(found) != 1:
            raise MissingResource(
                f"{self._task.key} defines {len(found)} networks of role {role!r}, expected one; choose another task"
            )
        [network] = found.values()
        return network

    def _own_head(self, role: str) -> dict[str, nn.Module]:
        """The head of that role which was trained together with the network explained."""
        part = getattr(self.guarded, "heads", {}).get(role)
        if part is None:
            raise MissingResource(
                f"the {role} of {self._task.key} reads the feature maps of {self._task.only('classifier')}, and "
                f"{self._task.classifier} is explained, which has none of its own; explain another classifier"
            )
        return {f"{self._task.classifier}.{part}": self.guarded.get_submodule(part)}

    def _count(self, network: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self.counter.generated += len(inputs[0])
