"""Synthetic runs of any length, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from cfbench.judges import BATCH
from cfbench.pieces import COSTS, Piece
from cfbench.task import Task


def synthetic(task: Task, count: int) -> Iterator[Piece]:
    """Queries again and again, a patch of 6 x 6 changed at a random place."""
    stream = torch.Generator().manual_seed(0)
    for first in range(0, count, BATCH):
        size = min(BATCH, count - first)
        chosen = torch.arange(first, first + size) % len(task)
        queries = task.stored[chosen]
        made = queries.clone()
        corners = torch.randint(0, 22, (size, 2), generator=stream).tolist()
        patches = torch.randint(0, 256, (size, 1, 6, 6), generator=stream, dtype=torch.uint8)
        for image, patch, (top, left) in zip(made, patches, corners, strict=True):
            image[:, top : top + 6, left : left + 6] = patch
        costs = {name: torch.ones(size, dtype=torch.float64) for name in COSTS}
        yield Piece(first, queries, task.sources[chosen], task.targets[chosen], made, [""] * size, costs)
