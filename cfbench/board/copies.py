"""Counterfactuals that are real images: the nearest of a data set's own images to each, by pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cfbench.dataset import QUERY_SPLITS, Dataset

COPY = 5.0
"""Root mean square difference, in 8-bit levels, below which an image is a copy of another.

Of fashion-mnist, mnist, shapes, isic and celeba, 999 in 1,000 held-out images are 4.5 to 26 levels or more from the
nearest image of the pool.
"""

PART = 1000


@dataclass(frozen=True)
class Copies:
    """How many counterfactuals are copies of real images other than their query.

    Attributes:
        changed: counterfactuals that differ from their query. pool: copies of images of the training pool.
        others: copies of held-out images and other queries, which no method is given.
    """

    changed: int
    pool: int
    others: int


def find_copies(made: Tensor, queries: Tensor, dataset: Dataset) -> Copies:
    """Compare counterfactuals with every real image of a data set.

    A copy is nearer than ``COPY`` to a real image, and nearer to it than to its query.

    Args:
        made, queries: 8-bit images ``[N, C, H, W]``, paired.
    """
    changed = (made != queries).flatten(1).any(dim=1)
    made = made[changed]
    own = _difference(made, queries[changed])
    pool = _nearest(made, dataset.split_images("pool"))
    others = torch.full_like(own, torch.inf)
    for split in ("reference", *QUERY_SPLITS):
        others = torch.minimum(others, _nearest(made, dataset.split_images(split)))
    near = torch.minimum(pool, others)
    copied = (near < COPY) & (near < own)
    return Copies(len(made), pool=int((copied & (pool <= others)).sum()), others=int((copied & (others < pool)).sum()))


def _nearest(made: Tensor, real: Tensor) -> Tensor:
    """Difference of each image to the nearest real one, ``[N]``."""
    found = torch.full((len(made),), torch.inf, dtype=torch.float64)
    flat = made.flatten(1).float()
    for part in real.split(PART):
        rows = part.flatten(1).float()
        nearest = (rows.square().sum(dim=1) - 2 * flat @ rows.T).argmin(dim=1)
        found = torch.minimum(found, _difference(made, part[nearest]))
    return found


def _difference(first: Tensor, second: Tensor) -> Tensor:
    """Root mean square difference of paired 8-bit images in levels, exact to float64, ``[N]``."""
    return (first.double() - second.double()).square().flatten(1).mean(dim=1).sqrt()
