"""Do the counterfactuals, as a set, look like real images to a network that no method sees?"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from torch import Tensor

from cfbench.collector import Collector, groups_of
from cfbench.distances.frechet import Gaussian, Moments, frechet_distance, mixture
from cfbench.distances.intervals import GROUPS, Jackknife, jackknife, plain_jackknife
from cfbench.distances.parallel import evaluated
from cfbench.distances.vectors import Floats, usable
from cfbench.errors import InvalidParameter
from cfbench.metrics.base import Metric, Scores
from cfbench.record import Score
from cfbench.spaces import NOWHERE
from cfbench.stats import Interval

if TYPE_CHECKING:
    from cfbench.batch import Batch
    from cfbench.judges import Judges
    from cfbench.spaces import Space

FLOOR_DRAWS = 5
"""Draws of real images that the floor averages over."""

ENOUGH = 1000
"""Images from which a Frechet distance is given whatever the number of features; its floor shows the bias."""

FULL = 5
"""Images a feature below which simulated intervals of Frechet distances do not cover, so that none is given."""


class SetMetric(Metric):
    """A figure of the whole set of counterfactuals in a feature space, with jackknife replicates and a floor.

    Subclasses give the figure of a subset without some jackknife groups. The collector that they read is shared by
    every metric of the space. The value is the plain figure, as other libraries compute it; the interval is about the
    bias-corrected one, ``corrected`` in the record, and so about the distance of the populations.

    Groups from 0 are the run's; where the held-out real images are a second sample, theirs follow from ``GROUPS`` on.
    """

    family = "realism"
    needs: ClassVar[tuple[str, ...]] = ("reference",)
    resource = "a network that gives features"

    def __init__(self, judges: Judges, space: Space) -> None:
        super().__init__(judges)
        self.space = space

    second_sample: ClassVar[bool] = False

    @classmethod
    def instances(cls, judges: Judges) -> list[Self]:
        return [cls(judges, space) for space in judges.spaces or [NOWHERE]]

    @property
    def key(self) -> str:
        plain = self.space is NOWHERE or self.space.name in self.judges.names("extractor")[:1]
        return self.name if plain else f"{self.name}[{self.space.name}]"

    def blocked(self) -> str | None:
        return self.space.problem() or super().blocked()

    @property
    def network(self) -> str | None:
        return self.space.identity or None

    @property
    def collector(self) -> Collector:
        """What was gathered of the run in this space."""
        return self.judges.collect(self.space)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        self.collector.update(batch)
        return {}

    def compute(self) -> Scores:
        return {subset: self._score(subset) for subset in self.subsets}

    def least(self) -> int:
        """Fewest images for which a value is given."""
        return self.minimum

    def counted(self, subset: str) -> int:
        """Images that the figure is over."""
        return self.collector.n(subset)

    def estimate(self, subset: str) -> Jackknife:
        """The figure with its interval and replicates."""
        found = jackknife(lambda left_out: self.figure(subset, left_out))
        if not self.second_sample:
            return found
        return found.and_of(jackknife(lambda left_out: self.figure(subset, [GROUPS + group for group in left_out])))

    def _score(self, subset: str) -> Score:
        n, collector = self.counted(subset), self.collector
        if collector.skipped:
            return self.blank(f"the features of {collector.skipped} images in {self.space.name} are not finite", n)
        if n < self.least():
            reason = f"needs at least {self.least()} images for {collector.dimensions} features, has {n}"
            return self.blank(reason, n)
        if "reference" in self.needs and not usable(self.real).all():
            return self.blank(f"features of held-out real images in {self.space.name} are not finite", n)
        try:
            found, floor = self.estimate(subset), self.floor(subset)
        except InvalidParameter as error:
            return self.blank(f"undefined on these images: {error}", n)
        withheld = self.withheld(found, subset)
        return Score(
            value=found.value,
            ci95=None if withheld else self._within(found.interval),
            n=n,
            version=self.version,
            network=self.network,
            floor=floor,
            replicates=tuple(found.replicates.tolist()),
            corrected=found.estimate,
            reason=withheld and f"no interval: {withheld}",
        )

    def withheld(self, found: Jackknife, subset: str) -> str | None:
        """Why the interval isn't known to cover here, or None."""
        return None

    def _within(self, interval: Interval) -> Interval:
        low, high = np.clip(interval, *self.bounds)
        return float(low), float(high)

    @abstractmethod
    def figure(self, subset: str, left_out: Collection[int] = ()) -> float:
        """The figure of a subset without some jackknife groups."""

    @abstractmethod
    def floor(self, subset: str) -> float | None:
        """What as many real images score; None where there are none."""

    @cached_property
    def real(self) -> Floats:
        """Features of the held-out real images, ``[N, D]``."""
        features: Floats = self.judges.reference_features(self.space).numpy()
        return features

    @cached_property
    def real_by_class(self) -> list[Floats]:
        """Features of the held-out real images of each class."""
        labels = self.judges.reference.labels.cpu().numpy()
        return [self.real[labels == label] for label in range(self.judges.num_classes)]


class _Frechet(SetMetric):
    direction = "lower"
    bounds = (0.0, float("inf"))
    unit = "squared feature distance"
    rule = "ten a feature, at most 1,000; an interval from five a feature"

    def least(self) -> int:
        """Ten images a feature, below which the bias is the larger part, but no more than ``ENOUGH``."""
        return min(10 * self.collector.dimensions, ENOUGH)

    def withheld(self, found: Jackknife, subset: str) -> str | None:
        return None if self._full(subset) else f"needs at least {FULL} images a feature"

    def _full(self, subset: str) -> bool:
        return self.counted(subset) >= FULL * self.collector.dimensions

    def estimate(self, subset: str) -> Jackknife:
        if self._full(subset):
            return super().estimate(subset)
        return plain_jackknife(lambda left_out: self.figure(subset, left_out))


class FrechetDistance(_Frechet):
    """Frechet distance between counterfactuals and the queries they came from, in a feature space of the task.

    The practice of most papers, on a domain network instead of Inception. Rewards looking like the data as a set.
    Fooled by barely changed images, which inherit the queries' distribution: ``identity`` scores 0, below the floor.
    """

    name = "fd"
    needs = ()
    citation = "Heusel et al., arXiv 1706.08500, equation 6, on domain features"

    def figure(self, subset: str, left_out: Collection[int] = ()) -> float:
        made, queries = (side(subset, left_out) for side in (self.collector.without, self.collector.queries_without))
        return frechet_distance(made.gaussian, queries.gaussian)

    def floor(self, subset: str) -> float | None:
        """Real held-out images, as many, against the queries; averaged over seeded draws."""
        if self.judges.missing("reference") or not usable(self.real).all():
            return None
        queries, n = self.collector.queries_without(subset).gaussian, self.collector.n(subset)
        orders = [np.random.default_rng(seed).permutation(len(self.real))[:n] for seed in range(FLOOR_DRAWS)]
        return float(
            evaluated(lambda order: frechet_distance(Moments.of(self.real[order]).gaussian, queries), orders).mean()
        )


class SplitFrechetDistance(_Frechet):
    """Frechet distance between counterfactuals and held-out real images of the target classes.

    The real images are no queries and no training images, and their classes are weighted as the targets are, so that
    neither an unchanged image nor a copied one gains. Rewards looking like the class asked for. Fooled by adversarial
    noise that the extractor does not see.
    """

    name = "split_fd"
    citation = "after sFID of ACE, Jeanneret et al., arXiv 2303.09962; against held-out reals (ours)"

    second_sample = True

    @cached_property
    def _parts(self) -> list[list[Moments]]:
        """Moments of the real images of each class by jackknife group."""
        dealt = [(features, groups_of(np.arange(len(features)))) for features in self.real_by_class]
        return [[Moments.of(features[group == each]) for each in range(GROUPS)] for features, group in dealt]

    def classes(self, left_out: Collection[int]) -> list[Moments]:
        """Moments of the real images of each class without some groups of theirs."""
        kept = [group for group in range(GROUPS) if GROUPS + group not in left_out]
        key = f"classes {self.space.name} {kept}"
        width = self.real.shape[1]
        return self.judges.once(
            key, lambda: [Moments.sum((parts[group] for group in kept), width) for parts in self._parts]
        )

    def wanted(self, subset: str, left_out: Collection[int] = ()) -> Gaussian:
        """The real images, with classes weighted as the targets are."""
        return mixture(self.classes(left_out), self.collector.shares(subset, left_out))

    def distance(self, collector: Collector, subset: str, left_out: Collection[int]) -> float:
        """Distance of what a collector gathered to the real images."""
        return frechet_distance(collector.without(subset, left_out).gaussian, self.wanted(subset, left_out))

    def figure(self, subset: str, left_out: Collection[int] = ()) -> float:
        key = f"split_fd {self.space.name} {subset} {sorted(left_out)}"
        return self.judges.once(key, lambda: self.distance(self.collector, subset, left_out))

    def floor(self, subset: str) -> float | None:
        """Held-out images in the classes of the targets, as many, against the others; averaged over seeded draws.

        At most half of a class is drawn, so there are fewer where one class is the target of very many queries.
        """

        def found() -> float:
            counts = self.collector.targets[subset].sum(axis=0)
            return float(evaluated(lambda seed: self._drawn(counts, seed), range(FLOOR_DRAWS)).mean())

        return self.judges.once(f"split_fd floor {self.space.name} {subset}", found)

    def _drawn(self, counts: np.ndarray, seed: int) -> float:
        random = np.random.default_rng(seed)
        orders = [random.permutation(features) for features in self.real_by_class]
        taken = [min(count, len(order) // 2) for count, order in zip(counts, orders, strict=True)]
        drawn = Moments.of(np.concatenate([order[:size] for order, size in zip(orders, taken, strict=True)]))
        others = [Moments.of(order[size:]) for order, size in zip(orders, taken, strict=True)]
        return frechet_distance(drawn.gaussian, mixture(others, np.array(taken) / sum(taken)))


class NormalisedSplitFrechetDistance(SplitFrechetDistance):
    """``split_fd`` divided by the total variance of the real images' features, so that extractors compare.

    Rewards and is fooled as ``split_fd`` is; 1 is about the spread of the data itself.
    """

    name = "split_fd_normalised"
    unit = "share of the real features' variance"
    citation = "ours"

    def figure(self, subset: str, left_out: Collection[int] = ()) -> float:
        return super().figure(subset, left_out) / self._variance(subset, left_out)

    def floor(self, subset: str) -> float | None:
        plain = super().floor(subset)
        return None if plain is None else plain / self._variance(subset)

    def _variance(self, subset: str, left_out: Collection[int] = ()) -> float:
        variance = self.wanted(subset, left_out).trace
        if variance == 0:
            raise InvalidParameter("the features of the real images do not vary")
        return variance
