"""Judges made of stub networks, and batches of images that get chosen outputs from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cfbench.batch import Batch
from cfbench.dataset import Images
from cfbench.judges import Judges, Member
from cfbench.metrics.base import Metric, Scores
from cfbench.pieces import Piece
from cfbench.scoring import batch_of as batch_of_piece

SHAPE = (1, 4, 4)


class Lookup(nn.Module):
    """Gives row k of a table to images whose first pixel has level k."""

    table: Tensor

    def __init__(self, table: Sequence[Any]) -> None:
        super().__init__()
        self.register_buffer("table", torch.tensor(table, dtype=torch.float32))

    def forward(self, images: Tensor) -> Tensor:
        return self.table[images[:, 0, 0, 0].mul(255).round().long()]


class Formula(nn.Module):
    """A function of images as a network."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)


def member(name: str, network: nn.Module, role: str | None = None) -> Member:
    """A network that judges; its role is its name up to a hyphen and digit, unless given."""
    return Member(name, role or name.rstrip("-0123456789"), f"{name}@stub", lambda: network)


def judges_of(
    *members: Member,
    classes: int = 3,
    image_shape: tuple[int, int, int] = SHAPE,
    reference: Images | None = None,
    **options: Any,
) -> Judges:
    given = None if reference is None else lambda: reference
    return Judges(members, classes=classes, image_shape=image_shape, reference=given, **options)


def numbered(levels: Sequence[int], shape: tuple[int, int, int] = SHAPE) -> Tensor:
    """Black 8-bit images whose first pixel has the given levels."""
    images = torch.zeros(len(levels), *shape, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.tensor(levels, dtype=torch.uint8)
    return images


def random_images(count: int, shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *shape), generator=stream, dtype=torch.uint8)


def piece_of(
    queries: Tensor,
    made: Tensor,
    *,
    sources: Sequence[int] | Tensor | None = None,
    targets: Sequence[int] | Tensor | None = None,
    failed: Sequence[int] = (),
    given: Sequence[int] | None = None,
    first: int = 0,
) -> Piece:
    """A piece whose queries are, unless given, of class 0 and asked to become 1."""
    count = len(queries)
    errors = ["it failed" if index in failed else "" for index in range(count)]
    return Piece(
        first,
        queries,
        torch.zeros(count, dtype=torch.int64) if sources is None else torch.as_tensor(sources),
        torch.ones(count, dtype=torch.int64) if targets is None else torch.as_tensor(targets),
        made,
        errors,
        {name: torch.ones(count, dtype=torch.float64) for name in ("seconds", "forwards", "backwards", "generated")},
        None if given is None else torch.as_tensor(given),
    )


def batch_of(judges: Judges, queries: Tensor, made: Tensor, **options: Any) -> Batch:
    return batch_of_piece(piece_of(queries, made, **options), judges)


@torch.inference_mode()
def scores_of(kind: type[Metric], batch: Batch) -> Scores:
    """Scores of one metric over one batch."""
    metric = kind.instances(batch.judges)[0]
    assert metric.blocked() is None
    metric.update(batch)
    return metric.compute()


@torch.inference_mode()
def values_of(kind: type[Metric], batch: Batch) -> Tensor:
    """The column that one metric adds to the query table."""
    metric = kind.instances(batch.judges)[0]
    assert metric.blocked() is None
    return metric.update(batch)[metric.key]
