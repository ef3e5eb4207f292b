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

    Raises:
        InvalidParameter: unknown rule or split, or a frozen target that is not a class or equals its source.
    """

    def __init__(
        self, dataset: Dataset, *, targets: str = "near", split: str = "test", device: torch.device | str = "cpu"
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
        check_targets(self.sources, self.targets, classes=self.num_classes)

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
        return self.dataset.split(self.split).images.to(self.device)

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
