"""Protocols: the same method on altered queries of a task, to see whether its counterfactuals can be relied on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cfbench.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from cfbench.errors import UnknownName
from cfbench.files import sha256_bytes
from cfbench.images import dequantise, quantise
from cfbench.record import RunKey
from cfbench.seeds import QueryRandom, derive_seed
from cfbench.store import RunFolder
from cfbench.task import Task

NOISE = 0.02
"""Half-width of the uniform noise of the protocol ``stability``, about five 8-bit levels."""

RESEEDED = 2
"""Further explainer seeds of the protocol ``seeds``."""


class Altered(Task):
    """A task with other images or targets for its queries; ids, and so seeds, stay.

    Args:
        task: the task altered. images: 8-bit queries ``[N, C, H, W]``. targets: classes asked for, ``[N]``.
    """

    def __init__(self, task: Task, *, images: Tensor | None = None, targets: Tensor | None = None) -> None:
        super().__init__(
            task.dataset, targets=task.rule, split=task.split, device=task.device, classifier=task.classifier
        )
        if images is not None:
            self.stored = images
        if targets is not None:
            self.targets = targets
            self.queries = self.queries.assign(target=targets.cpu().numpy())


@dataclass(frozen=True)
class Variant:
    """One run of a protocol: its name, what it runs on, the seed of the explainer."""

    name: str
    task: Task
    seed: int

    def key(self, base: RunKey) -> RunKey:
        """Key of this run, of a protocol of the run ``base``."""
        content = sha256_bytes(self.task.stored.cpu().numpy().tobytes() + self.task.targets.cpu().numpy().tobytes())
        return base.model_copy(update={"variant": f"{self.name}-{content[:16]}", "seed": self.seed})

    def folder(self, run: Path, base: RunKey) -> RunFolder:
        """Where this run is stored, below that of the run ``base``."""
        return RunFolder(run / "protocols" / f"{self.name}-{self.key(base).digest[:8]}")


def _composition(task: Task, made: Tensor, seed: int) -> list[Variant]:
    return [Variant("composition", Altered(task, targets=task.sources), seed)]


def _reversibility(task: Task, made: Tensor, seed: int) -> list[Variant]:
    return [Variant("reversibility", Altered(task, images=made, targets=task.sources), seed)]


def _stability(task: Task, made: Tensor, seed: int) -> list[Variant]:
    random = QueryRandom([derive_seed("stability", task.key, name) for name in task.queries["query_id"]])
    noise = random.uniform(*task.dataset.image_shape, low=-NOISE, high=NOISE).to(task.device)
    return [Variant("stability", Altered(task, images=quantise(dequantise(task.stored) + noise)), seed)]


def _seeds(task: Task, made: Tensor, seed: int) -> list[Variant]:
    return [
        Variant(f"seeds-{index}", Altered(task), derive_seed(seed, "reseeded", index))
        for index in range(1, RESEEDED + 1)
    ]


def _corruption(task: Task, made: Tensor, seed: int) -> list[Variant]:
    seeds = [derive_seed("corruption", task.key, name) for name in task.queries["query_id"]]
    return [
        Variant(f"{kind}-{severity}", Altered(task, images=corrupt(task.stored, kind, severity, seeds=seeds)), seed)
        for kind in CORRUPTIONS
        for severity in SEVERITIES
    ]


def _boundary(task: Task, made: Tensor, seed: int) -> list[Variant]:
    return []


PROTOCOLS: dict[str, Callable[[Task, Tensor, int], list[Variant]]] = {
    "composition": _composition,
    "reversibility": _reversibility,
    "stability": _stability,
    "seeds": _seeds,
    "corruption": _corruption,
    "boundary": _boundary,
}
"""Runs of each protocol, from a task, the counterfactuals of the base run, uint8 ``[N, C, H, W]``, and its seed.

``boundary`` needs no further run: it trains students on the run's own counterfactuals.
"""


def check_protocols(names: Sequence[str]) -> None:
    """Every name must be one of ``PROTOCOLS``.

    Raises:
        UnknownName: naming the first that is not.
    """
    for name in names:
        if name not in PROTOCOLS:
            raise UnknownName(f"unknown protocol {name!r}; choose from {', '.join(PROTOCOLS)}")


def variants_of(protocol: str, task: Task, made: Tensor, *, seed: int) -> list[Variant]:
    """The runs of one of ``PROTOCOLS``."""
    return PROTOCOLS[protocol](task, made, seed)


def completed(made: Tensor, task: Task) -> Tensor:
    """Counterfactuals of the first queries, followed by the queries that were not asked for."""
    return torch.cat([made.to(task.device), task.stored[len(made) :]])
