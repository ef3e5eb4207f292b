"""Features of a run in one space, gathered once for all metrics that compare sets."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cfbench.distances.frechet import Moments
from cfbench.distances.intervals import GROUPS
from cfbench.distances.vectors import usable

if TYPE_CHECKING:
    from cfbench.batch import Batch
    from cfbench.spaces import Space

KEPT = 5000
"""Images whose features are kept for distances that need every pair; beyond, memory would grow with the run."""

SUBSETS = ("all", "flipped")

Floats = NDArray[np.float64]


def groups_of(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Jackknife group of each position: every ``GROUPS`` consecutive queries are dealt out by a seeded shuffle.

    So groups are equal, known without knowing how many queries follow, and none is a class where classes take turns.
    """
    blocks, within = np.divmod(positions, GROUPS)
    deals = {block: np.random.default_rng([0, block]).permutation(GROUPS) for block in np.unique(blocks).tolist()}
    return np.array([deals[block][place] for block, place in zip(blocks.tolist(), within.tolist(), strict=True)])


class Collector:
    """Streams a run: moments of each jackknife group, target classes, and the first features whole.

    Attributes:
        made, queries: moments by subset and group; a group holds counterfactuals and their queries alike.
        targets: how often each class is asked for, by subset ``[GROUPS, classes]``.
        skipped: images whose features were not finite, or beyond float32; they are left out.
    """

    def __init__(self, space: Space, classes: int) -> None:
        self.space = space
        self.classes = classes
        self.made: dict[str, list[Moments]] = {}
        self.queries: dict[str, list[Moments]] = {}
        self.targets = {subset: np.zeros((GROUPS, classes), dtype=np.int64) for subset in SUBSETS}
        self.skipped = 0
        self._kept: list[tuple[Floats, NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]] = []
        self._count = 0
        self._following = 0

    def update(self, batch: Batch) -> None:
        """Take in a batch; one that was taken in already is passed over, so that every metric may hand it on."""
        if int(batch.positions[0]) < self._following:
            return
        self._following = int(batch.positions[-1]) + 1
        made, queries = (batch.features(self.space, which).numpy() for which in ("counterfactuals", "queries"))
        group, targets = groups_of(batch.positions.cpu().numpy()), batch.targets.cpu().numpy()
        flipped = batch.flipped.cpu().numpy()
        finite = usable(made) & usable(queries)
        self.skipped += int((~finite).sum())
        if not self.made:
            for store in (self.made, self.queries):
                store.update({subset: [Moments.empty(made.shape[1])] * GROUPS for subset in SUBSETS})
        for subset, chosen in (("all", finite), ("flipped", finite & flipped)):
            np.add.at(self.targets[subset], (group[chosen], targets[chosen]), 1)
            for index in np.unique(group[chosen]):
                taken = chosen & (group == index)
                self.made[subset][index] += Moments.of(made[taken])
                self.queries[subset][index] += Moments.of(queries[taken])
        left = KEPT - self._count
        if left > 0:
            kept = np.flatnonzero(finite)[:left]
            self._kept.append((made[kept], group[kept], targets[kept], flipped[kept]))
            self._count += len(self._kept[-1][0])

    @property
    def dimensions(self) -> int:
        """Number of features."""
        return len(self.made["all"][0].mean)

    def n(self, subset: str) -> int:
        """Images taken in."""
        return int(self.targets[subset].sum())

    def without(self, subset: str, left_out: Collection[int] = ()) -> Moments:
        """Moments of the counterfactuals of all groups but some."""
        return self._sum(self.made[subset], left_out)

    def queries_without(self, subset: str, left_out: Collection[int] = ()) -> Moments:
        """Moments of the queries of all groups but some."""
        return self._sum(self.queries[subset], left_out)

    def _sum(self, parts: list[Moments], left_out: Collection[int]) -> Moments:
        return Moments.sum((part for group, part in enumerate(parts) if group not in left_out), self.dimensions)

    def shares(self, subset: str, left_out: Collection[int] = ()) -> Floats:
        """Share of each class among the targets of all groups but some, ``[classes]``."""
        kept = [group for group in range(GROUPS) if group not in left_out]
        counts = self.targets[subset][kept].sum(axis=0)
        shares: Floats = counts / max(counts.sum(), 1)
        return shares

    def kept(self, subset: str) -> tuple[Floats, NDArray[np.int64]]:
        """Features ``[n, D]`` and jackknife groups ``[n]`` of the first images."""
        made, group, _, flipped = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        chosen = flipped if subset == "flipped" else np.ones(len(made), dtype=bool)
        return made[chosen], group[chosen]


def matched(labels: NDArray[np.int64], shares: Floats, *, seed: int = 0) -> NDArray[np.int64]:
    """Indices of as many images as possible, drawn so that classes have the given ``shares``; seeded."""
    random = np.random.default_rng(seed)
    members = [random.permutation(np.flatnonzero(labels == label)) for label in range(len(shares))]
    total = min((len(each) / share for each, share in zip(members, shares, strict=True) if share > 0), default=0.0)
    return np.concatenate([each[: int(total * share + 1e-9)] for each, share in zip(members, shares, strict=True)])
