"""Stored queries and counterfactuals in order, a scoring batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cfbench.judges import BATCH
from cfbench.store import RunFolder, Shard, among
from cfbench.task import Task

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

UNREACHED = "not reached within the time limit"

COSTS = ("seconds", "forwards", "backwards", "generated")
"""Figures of a shard that its queries share."""


@dataclass(frozen=True)
class Piece:
    """Up to ``BATCH`` consecutive queries and what was stored for them, on the CPU.

    Attributes:
        first: position of the first. stored_queries, stored: uint8 ``[B, C, H, W]``. sources, targets: ``[B]``.
        errors: one message a query, empty where it succeeded. costs: figures ``[B]``; NaN for unreached queries.
        given: predictions made elsewhere, ``[B]``, if there is no classifier.
        further: other counterfactuals of each query, uint8 ``[B, K, C, H, W]``, if any were handed in.
    """

    first: int
    stored_queries: Tensor
    sources: Tensor
    targets: Tensor
    stored: Tensor
    errors: list[str]
    costs: Mapping[str, Tensor] = field(default_factory=dict)
    given: Tensor | None = None
    further: Tensor | None = None

    def add_to(self, digest: Hash) -> None:
        """Add its counterfactuals to the hash of a run's images."""
        for images in (self.stored, self.further):
            if images is not None:
                digest.update(images.numpy().tobytes())


def pieces_of(folder: RunFolder, task: Task, requested: int) -> Iterator[Piece]:
    """The first ``requested`` queries of a run; the query stands in for what was not reached.

    Pieces are the same whatever the shards were, so that scores are the same to the bit.
    """
    shards = folder.shards()
    shard = next(shards, None)
    for start in range(0, requested, BATCH):
        stop = min(start + BATCH, requested)
        filling = _Filling(task, start, stop)
        while shard is not None and shard.first < stop:
            filling.take(shard)
            if shard.positions.stop > stop:
                break
            shard = next(shards, None)
        yield filling.piece()


class _Filling:
    """A piece while shards are put into it."""

    def __init__(self, task: Task, start: int, stop: int) -> None:
        self.task = task
        self.places = slice(start, stop)
        self.stored = task.stored[self.places].cpu().clone()
        self.errors = [UNREACHED] * (stop - start)
        self.costs = {name: torch.full((stop - start,), torch.nan, dtype=torch.float64) for name in COSTS}
        self.further: list[tuple[slice, Tensor]] = []

    def take(self, shard: Shard) -> None:
        start, stop = max(shard.first, self.places.start), min(shard.positions.stop, self.places.stop)
        if start >= stop:
            return
        here = slice(start - self.places.start, stop - self.places.start)
        there = slice(start - shard.first, stop - shard.first)
        self.stored[here] = shard.images[there]
        self.errors[here] = shard.errors[there]
        for name, values in self.costs.items():
            values[here] = getattr(shard, name) / len(shard.errors)
        if shard.further is not None:
            self.further.append((here, shard.further[there]))

    def piece(self) -> Piece:
        task, places = self.task, self.places
        queries, sources, targets = (part[places].cpu() for part in (task.stored, task.sources, task.targets))
        return Piece(
            places.start,
            queries,
            sources,
            targets,
            self.stored,
            self.errors,
            self.costs,
            further=among(queries, self.further),
        )
