"""A task: frozen queries of a data set, their targets, and the networks that explain nothing but judge."""

from __future__ import annotations

from functools import cached_property

import pandas as pd
import torch
from torch import Tensor, nn

from cfbench.dataset import QUERY_SPLITS, Dataset
from cfbench.errors import InvalidParameter
from cfbench.images import dequantise

TARGET_RULES = ("near", "any")

EXPLAINABLE = ("classifier", "joint-classifier", "robust")
"""Roles of networks that a task can explain."""

HEADS = ("loss-estimator", "duq")
"""Roles of networks that read the feature maps of the data set's own classifier, and of no other."""

PART = 250
"""Images a pass in asking a classifier for its answers."""


def check_targets(sources: Tensor, targets: Tensor, *, classes: int) -> None:
    """Every target must be a class and differ from the source.

    Raises:
        InvalidParameter: naming the first target that is not.
    """
    outside = (targets < 0) | (targets >= classes)
    if outside.any():
        raise InvalidParameter(f"target {int(targets[outside][0])} is not a class; expected 0 to {classes - 1}")
    same = targets == sources
    if same.any():
        raise InvalidParameter(
            f"target {int(targets[same][0])} equals the source class of query {int(same.nonzero()[0])}; "
            "choose a class that the classifier does not already give"
        )


class Task:
    """The queries of one split of a data set under one target rule.

    Args:
        dataset: where queries and networks come from.
        targets: ``near`` (the classifier's second class) or ``any`` (a seeded other class).
        split: ``test``, or ``validation`` for tuning.
        device: where images and networks are put.
        classifier: name of the network to explain, by default the data set's classifier. Of another one, such as a
            robust classifier, the queries are those to which it gives the same class.

    Raises:
        InvalidParameter: unknown rule or split, a frozen target that is not a class or equals its source, or a network
            that cannot be explained.
        UnknownName, MissingResource: the data set has no such network, or it is not built.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        targets: str = "near",
        split: str = "test",
        device: torch.device | str = "cpu",
        classifier: str | None = None,
    ) -> None:
        if targets not in TARGET_RULES:
            raise InvalidParameter(f"unknown target rule {targets!r}; choose {' or '.join(TARGET_RULES)}")
        if split not in QUERY_SPLITS:
            raise InvalidParameter(f"unknown query split {split!r}; choose {' or '.join(QUERY_SPLITS)}")
        self.dataset = dataset
        self.rule = targets
        self.split = split
        self.device = torch.device(device)
        table = dataset.table(split).rename(columns={targets: "target", "image_id": "query_id"})
        self.queries: pd.DataFrame = table[["query_id", "raw_index", "label", "source", "target"]]
        self.classifier = classifier or self.only("classifier")
        """Name of the network explained."""
        if not self.explains_own:
            self._keep_agreed()
        check_targets(self.sources, self.targets, classes=self.num_classes)

    @property
    def explains_own(self) -> bool:
        """Whether the network explained is the data set's classifier, whose answers the queries were chosen by."""
        return self.classifier == self.only("classifier")

    def _keep_agreed(self) -> None:
        """Keep the queries to which the network explained gives the class that the data set's classifier gave."""
        self.dataset.entry(self.classifier)
        if (role := self.dataset.networks[self.classifier].role) not in EXPLAINABLE:
            names = [name for each in EXPLAINABLE for name in self.dataset.names(each)]
            raise InvalidParameter(
                f"network {self.classifier!r} of {self.key} is of role {role} and cannot be explained; choose from "
                f"{', '.join(names)}"
            )
        network, stored = self.load(self.classifier), self.stored
        with torch.inference_mode():
            answers = torch.cat([network(dequantise(part)).argmax(1) for part in stored.split(PART)]).cpu()
        agreed = answers == torch.tensor(self.queries["source"].to_numpy(copy=True))
        self.queries = self.queries[agreed.numpy()].reset_index(drop=True)
        self.stored = stored[agreed.to(self.device)]

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def key(self) -> str:
        """``name@version``, as in ``fashion-mnist@v1``."""
        return self.dataset.key

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.dataset.classes)

    @cached_property
    def sources(self) -> Tensor:
        """Class the classifier gives each query, ``[N]`` int64."""
        return torch.tensor(self.queries["source"].to_numpy(copy=True), device=self.device)

    @cached_property
    def targets(self) -> Tensor:
        """Class asked for, ``[N]`` int64."""
        return torch.tensor(self.queries["target"].to_numpy(copy=True), device=self.device)

    @cached_property
    def stored(self) -> Tensor:
        """Query images as stored, ``[N, C, H, W]`` uint8."""
        return self.dataset.split_images(self.split).to(self.device)

    def images(self, positions: Tensor | slice) -> Tensor:
        """Query images ``[B, C, H, W]``, float32 in [0, 1]."""
        return dequantise(self.stored[positions])

    def load(self, name: str) -> nn.Module:
        """A fresh copy of a frozen network on this task's device."""
        return self.dataset.network(name).to(self.device)

    def only(self, role: str) -> str:
        """Name of the one network that plays ``role``.

        Raises:
            InvalidParameter: the data set defines none or several.
        """
        names = self.dataset.names(role)
        if len(names) != 1:
            raise InvalidParameter(f"{self.key} has {len(names)} networks of role {role!r}, expected one")
        return names[0]

    def identity(self, name: str) -> str:
        """Name and content of a frozen network, as in ``extractor@3fa9c1d20b7e``."""
        return f"{name}@{self.dataset.entry(name).sha256[:12]}"
