"""Do the counterfactuals, as a set, look like real images to a network that no method sees?"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cfbench.distances.frechet import Floats, Moments, frechet_distance, mixture
from cfbench.metrics.base import Metric, Scores
from cfbench.record import Score
from cfbench.stats import jackknife_interval

if TYPE_CHECKING:
    from cfbench.judges import Batch, Judges

FLOOR_DRAWS = 5
"""Draws of real images that the floor averages over."""

GROUP_SEED = 0
"""Seed of the dealing of queries into jackknife groups."""


class _SetDistance(Metric):
    """A distance between the counterfactuals and real images in a feature space, with jackknife and floor.

    Queries are dealt into ``groups`` by a seeded shuffle, so that no group is a class; each group's moments are kept
    for the counterfactuals of either subset and for their queries, so that a group is left out together with its
    pairs. The interval is centred on the plug-in value, which has the same bias as its floor.
    """

    direction = "lower"
    bounds = (0.0, float("inf"))
    groups = 20

    def __init__(self, judges: Judges) -> None:
        super().__init__(judges)
        self._made: dict[str, list[Moments]] = {}
        self._queries: dict[str, list[Moments]] = {}
        self._group_of = np.random.default_rng(GROUP_SEED).permutation(len(judges.task)) % self.groups
        self._targets: dict[str, NDArray[np.int64]] = {}

    def blocked(self) -> str | None:
        return None if self.judges.task.dataset.names("extractor") else "the task has no extractor"

    @property
    def network(self) -> str:
        return f"{self.judges.task.identity(self.judges.extractor)} pooled"

    def minimum(self, dimensions: int) -> int:
        """Fewest images the distance is reported for: ten a dimension, below which its bias is the larger part."""
        return 10 * dimensions

    def embed(self, batch: Batch, which: str) -> Floats:
        """Features ``[B, D]`` of the ``queries`` or ``counterfactuals`` of a batch."""
        pooled = batch.maps(self.judges.extractor, which)[-1].mean(dim=(2, 3))
        return pooled.to("cpu", torch.float64).numpy()

    def reference(self) -> Floats:
        """Features ``[N, D]`` of the held-out real images."""
        return self.judges.reference_features.numpy()

    def update(self, batch: Batch) -> dict[str, Tensor]:
        made, queries = self.embed(batch, "counterfactuals"), self.embed(batch, "queries")
        dimensions, classes = made.shape[1], self.judges.task.num_classes
        if not self._made:
            empty = [Moments.empty(dimensions) for _ in range(self.groups)]
            self._made = {subset: list(empty) for subset in self.subsets}
            self._queries = {subset: list(empty) for subset in self.subsets}
            self._targets = {subset: np.zeros((self.groups, classes), dtype=np.int64) for subset in self.subsets}
        chosen = {"all": np.ones(len(made), dtype=bool), "flipped": batch.flipped.cpu().numpy()}
        group_of = self._group_of[batch.positions.cpu().numpy()]
        targets = batch.targets.cpu().numpy()
        for group in range(self.groups):
            here = group_of == group
            for subset in self.subsets:
                taken = here & chosen[subset]
                self._made[subset][group] += Moments.of(made[taken])
                self._queries[subset][group] += Moments.of(queries[taken])
                self._targets[subset][group] += np.bincount(targets[taken], minlength=classes)
        return {}

    def compute(self) -> Scores:
        return {subset: self._score(subset) for subset in self.subsets}

    def _score(self, subset: str) -> Score:
        parts = self._made[subset]
        dimensions = len(parts[0].mean)
        n = sum(part.n for part in parts)
        least = self.minimum(dimensions)
        if n < least:
            reason = f"needs at least {least} images for {dimensions} features, has {n}"
            return Score(value=None, n=n, version=self.version, network=self.network, reason=reason)
        value = self._distance(subset, set())
        interval = jackknife_interval(value, lambda group: self._distance(subset, {group}), self.groups)
        return Score(
            value=value,
            ci95=(max(interval[0], 0.0), interval[1]),
            n=n,
            version=self.version,
            network=self.network,
            floor=self._floor(subset, n),
        )

    def _without(self, parts: list[Moments], left_out: set[int]) -> Moments:
        kept = (part for group, part in enumerate(parts) if group not in left_out)
        return Moments.sum(kept, len(parts[0].mean))

    @abstractmethod
    def _distance(self, subset: str, left_out: set[int]) -> float:
        """The distance of a subset without some groups."""

    @abstractmethod
    def _floor(self, subset: str, n: int) -> float:
        """What n real images score."""


class FrechetDistance(_SetDistance):
    """Frechet distance between counterfactuals and the queries they came from, on the task's extractor.

    The practice of most papers, on a domain network instead of Inception. Rewards looking like the data as a set.
    Fooled by barely changed images, which inherit the queries' distribution: ``identity`` scores 0, below the floor.
    """

    name = "fd"
    family = "realism"
    unit = "squared feature distance"
    citation = "Heusel et al., arXiv 1706.08500, equation 6, on domain features"

    def _distance(self, subset: str, left_out: set[int]) -> float:
        made = self._without(self._made[subset], left_out)
        queries = self._without(self._queries[subset], left_out)
        return frechet_distance(made.gaussian, queries.gaussian)

    @cached_property
    def _reference(self) -> Floats:
        return self.reference()

    def _floor(self, subset: str, n: int) -> float:
        """Real held-out images, n of them, against the queries; averaged over seeded draws."""
        queries = self._without(self._queries[subset], set())
        distances = []
        for seed in range(FLOOR_DRAWS):
            order = np.random.default_rng(seed).permutation(len(self._reference))
            real = Moments.of(self._reference[order[:n]])
            distances.append(frechet_distance(real.gaussian, queries.gaussian))
        return float(np.mean(distances))


class SplitFrechetDistance(_SetDistance):
    """Frechet distance between counterfactuals and held-out real images of the target classes.

    The real images are no queries and no training images, and their classes are weighted as the targets are, so that
    neither an unchanged image nor a copied one gains. Blind to adversarial noise that the extractor does not see.
    """

    name = "split_fd"
    family = "realism"
    unit = "squared feature distance"
    citation = "after sFID of ACE, Jeanneret et al., arXiv 2303.09962; against held-out reals (ours)"

    @cached_property
    def _features(self) -> list[Floats]:
        features, labels = self.reference(), self.judges.reference_labels.numpy()
        return [features[labels == label] for label in range(self.judges.task.num_classes)]

    @cached_property
    def _classes(self) -> list[Moments]:
        return [Moments.of(features) for features in self._features]

    def _distance(self, subset: str, left_out: set[int]) -> float:
        made = self._without(self._made[subset], left_out)
        kept = [group for group in range(self.groups) if group not in left_out]
        counts = self._targets[subset][kept].sum(axis=0)
        return frechet_distance(made.gaussian, mixture(self._classes, counts / counts.sum()))

    def _floor(self, subset: str, n: int) -> float:
        """Held-out images in the classes of the targets, n of them, against the others; averaged over seeded draws.

        At most half of a class is drawn, so there are fewer where one class is the target of very many queries.
        """
        counts = self._targets[subset].sum(axis=0)
        distances = []
        for seed in range(FLOOR_DRAWS):
            random = np.random.default_rng(seed)
            orders = [random.permutation(features) for features in self._features]
            taken = [min(count, len(order) // 2) for count, order in zip(counts, orders, strict=True)]
            drawn = Moments.of(np.concatenate([order[:size] for order, size in zip(orders, taken, strict=True)]))
            others = [Moments.of(order[size:]) for order, size in zip(orders, taken, strict=True)]
            distances.append(frechet_distance(drawn.gaussian, mixture(others, np.array(taken) / sum(taken))))
        return float(np.mean(distances))
