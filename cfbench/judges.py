"""The frozen networks that judge a run, each run once over a batch whatever number of metrics reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from cfbench.images import dequantise
from cfbench.task import Task

BATCH = 250
"""Images a scoring batch; fixed, so that scoring again gives the same bits."""


class Judges:
    """Classifier, oracles and extractor of a task, and its held-out real images."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._loaded: dict[str, nn.Module] = {}

    @property
    def classifier(self) -> str:
        """Name of the network explained."""
        return self.task.only("classifier")

    @property
    def oracles(self) -> list[str]:
        """Names of the independent classifiers."""
        return self.task.dataset.names("oracle")

    @property
    def extractor(self) -> str:
        """Name of the network whose features realism metrics use."""
        return self.task.only("extractor")

    def verify(self) -> None:
        """Check that every network that judges is there and has its hash, before anything is computed.

        Raises:
            MissingResource: one is not built. CorruptFile: one is damaged.
        """
        dataset = self.task.dataset
        for role in ("classifier", "oracle", "extractor"):
            for name in dataset.names(role):
                dataset.verify(dataset.entry(name))

    def network(self, name: str) -> nn.Module:
        """A frozen network, loaded once."""
        if name not in self._loaded:
            self._loaded[name] = self.task.load(name)
        return self._loaded[name]

    @cached_property
    def reference(self) -> Tensor:
        """Held-out real images, ``[N, C, H, W]`` uint8."""
        return self.task.dataset.split("reference").images

    @cached_property
    def reference_labels(self) -> Tensor:
        """Class of each held-out real image, ``[N]`` int64."""
        return self.task.dataset.split("reference").labels

    @cached_property
    def reference_features(self) -> Tensor:
        """Pooled extractor features of the held-out real images, ``[N, D]`` float64 on the CPU."""
        extractor = self.network(self.extractor)
        parts = []
        with torch.inference_mode():
            for part in self.reference.split(BATCH):
                parts.append(extractor.embed(dequantise(part.to(self.task.device))).to("cpu", torch.float64))  # type: ignore[operator]
        return torch.cat(parts)


@dataclass
class Batch:
    """Queries and stored counterfactuals of some positions of a task, with what the judges say of them.

    Attributes:
        positions: row of each query in the task, ``[B]``. stored: counterfactuals, uint8 ``[B, C, H, W]``.
        failed: queries the method failed on, ``[B]``; their counterfactual is the query.
    """

    judges: Judges
    positions: Tensor
    stored: Tensor
    failed: Tensor
    _logits: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    _maps: dict[tuple[str, str], list[Tensor]] = field(default_factory=dict)

    @cached_property
    def stored_queries(self) -> Tensor:
        """Queries, uint8 ``[B, C, H, W]``."""
        return self.judges.task.stored[self.positions]

    @cached_property
    def queries(self) -> Tensor:
        """Queries in [0, 1]."""
        return dequantise(self.stored_queries)

    @cached_property
    def counterfactuals(self) -> Tensor:
        """Counterfactuals in [0, 1]."""
        return dequantise(self.stored)

    @property
    def targets(self) -> Tensor:
        """Class asked for, ``[B]``."""
        return self.judges.task.targets[self.positions]

    def logits(self, name: str, which: str = "counterfactuals") -> Tensor:
        """Logits of ``which`` images (or ``queries``) by a frozen classifier, ``[B, classes]``."""
        if (name, which) not in self._logits:
            self._logits[name, which] = self.judges.network(name)(getattr(self, which))
        return self._logits[name, which]

    def prediction(self, name: str) -> Tensor:
        """Class of each counterfactual by a frozen classifier, ``[B]``."""
        return self.logits(name).argmax(dim=1)

    def maps(self, name: str, which: str) -> list[Tensor]:
        """Feature maps of a frozen network for ``which`` images: ``queries`` or ``counterfactuals``."""
        if (name, which) not in self._maps:
            self._maps[name, which] = self.judges.network(name).blocks(getattr(self, which))  # type: ignore[operator]
        return self._maps[name, which]

    @cached_property
    def flipped(self) -> Tensor:
        """Whether the classifier gives the target class; failed queries count as not flipped, ``[B]``."""
        return (self.prediction(self.judges.classifier) == self.targets) & ~self.failed
