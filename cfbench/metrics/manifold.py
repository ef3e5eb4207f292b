"""Do counterfactuals and real images of the target classes cover each other?"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from dataclasses import replace
from functools import cache
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cfbench.collector import matched
from cfbench.distances.intervals import Jackknife, plain_jackknife
from cfbench.distances.neighbours import NEIGHBOURS, Comparison, Neighbourhoods, neighbourhoods
from cfbench.judges import Judges
from cfbench.metrics.realism import SetMetric
from cfbench.spaces import Space
from cfbench.stats import Interval, bootstrap_mean, wilson

RARER = 5
"""Real images within reach, and without, below which replicates hardly differ and there is no interval."""

COMPARED = 1000
"""Images on either side: the first counterfactuals, and as many held-out real ones in the targets' classes."""


class _Manifolds:
    """Neighbourhoods of a run without some jackknife groups, each computed once for all four metrics."""

    def __init__(self, judges: Judges, space: Space) -> None:
        self.judges = judges
        self.space = space
        self.at = cache(self._at)
        self.real = cache(self._halves)
        self._comparison = cache(self._compared)

    def _compared(self, subset: str) -> tuple[Comparison, NDArray[np.int64]]:
        collector, judges = self.judges.collect(self.space), self.judges
        made, groups = collector.kept(subset)
        chosen = matched(judges.reference.labels.cpu().numpy(), collector.shares(subset))
        order = np.random.default_rng(0).permutation(chosen)[:COMPARED]
        real = judges.reference_features(self.space).numpy()[order]
        return Comparison(made[:COMPARED], real), groups[:COMPARED]

    def _at(self, subset: str, left_out: tuple[int, ...]) -> Neighbourhoods:
        comparison, groups = self._comparison(subset)
        return comparison.without(np.isin(groups, left_out))

    def compared(self, subset: str) -> int:
        """Real images that are compared."""
        return len(self._comparison(subset)[0].real)

    def _halves(self, subset: str) -> Neighbourhoods:
        """As many held-out real images as there are counterfactuals, at most half, against the others."""
        collector, judges = self.judges.collect(self.space), self.judges
        chosen = matched(judges.reference.labels.cpu().numpy(), collector.shares(subset))
        features = judges.reference_features(self.space).numpy()[np.random.default_rng(0).permutation(chosen)]
        drawn = min(len(collector.kept(subset)[0]), COMPARED, len(features) // 2)
        return neighbourhoods(features[:drawn], features[drawn:][:COMPARED])


class _Manifold(SetMetric):
    """The interval is about the expectation at this number of counterfactuals, the real images being what they are.

    These figures depend on that number, so that nothing is corrected: they compare at equal n only.
    """

    direction = "higher"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    minimum = 20 * NEIGHBOURS

    @classmethod
    def instances(cls, judges: Judges) -> list[Self]:
        return super().instances(judges)[:1]

    @property
    def manifolds(self) -> _Manifolds:
        """What the four metrics share."""
        return self.judges.once(f"manifolds {self.space.name}", lambda: _Manifolds(self.judges, self.space))

    def counted(self, subset: str) -> int:
        return min(len(self.collector.kept(subset)[0]), COMPARED)

    def estimate(self, subset: str) -> Jackknife:
        found = plain_jackknife(lambda left_out: self.figure(subset, left_out))
        return replace(found, interval=self.interval(found, subset))

    @abstractmethod
    def interval(self, found: Jackknife, subset: str) -> Interval:
        """95 % interval of the figure of a subset."""

    def figure(self, subset: str, left_out: Collection[int] = ()) -> float:
        value: float = getattr(self.manifolds.at(subset, tuple(left_out)), self.name)
        return value

    def floor(self, subset: str) -> float:
        value: float = getattr(self.manifolds.real(subset), self.name)
        return value


class _RealShare(_Manifold):
    def interval(self, found: Jackknife, subset: str) -> Interval:
        return logit_interval(found)

    def withheld(self, found: Jackknife, subset: str) -> str | None:
        real = self.manifolds.compared(subset)
        rarer = min(found.value, 1 - found.value) * real
        return f"needs {RARER} real images within reach and {RARER} without" if rarer < RARER - 0.5 else None


def logit_interval(found: Jackknife) -> Interval:
    """95 % interval of a share, symmetric in its logarithmic odds; the share itself where it is 0 or 1."""
    share = found.value
    if not 0 < share < 1:
        return share, share
    odds = np.log(share / (1 - share))
    margin = (found.interval[1] - share) / (share * (1 - share))
    low, high = 1 / (1 + np.exp(-(odds - margin))), 1 / (1 + np.exp(-(odds + margin)))
    return float(low), float(high)


class Precision(_Manifold):
    """Share of counterfactuals within reach of a real image of the target classes (5 nearest neighbours).

    Rewards lying among real images. Fooled by outliers among these, whose reach is wide: read density beside it.
    """

    name = "precision"
    unit = "share of counterfactuals"
    citation = "Kynkaanniemi et al., arXiv 1904.06991"

    def interval(self, found: Jackknife, subset: str) -> Interval:
        n = self.counted(subset)
        return wilson(round(found.value * n), n)


class Recall(_RealShare):
    """Share of real images of the target classes within reach of a counterfactual (5 nearest neighbours).

    Rewards variety. Fooled by scattered outliers, whose reach is wide: read coverage beside it. It has no interval:
    the reach of each counterfactual depends on the others, and a jackknife's interval covers up to 99.5 % of the time.
    """

    name = "recall"
    unit = "share of real images"
    citation = "Kynkaanniemi et al., arXiv 1904.06991"

    def withheld(self, found: Jackknife, subset: str) -> str | None:
        return "none is known to cover as often as it says"


class Density(_Manifold):
    """Real images of the target classes that have a counterfactual within their reach, over 5; about 1 for real ones.

    Rewards lying where real images are dense. Fooled by many copies of one typical image.
    """

    name = "density"
    unit = "ratio"
    bounds = (0.0, float("inf"))
    citation = "Naeem et al., arXiv 2002.09797"

    def interval(self, found: Jackknife, subset: str) -> Interval:
        """The bootstrap's over counterfactuals, of whose densities it is the mean."""
        return bootstrap_mean(self.manifolds.at(subset, ()).densities) or found.interval


class Coverage(_RealShare):
    """Share of real images of the target classes with a counterfactual within their reach (5 nearest neighbours).

    Rewards variety among real images. Fooled by little; it falls with the number of counterfactuals alone.
    """

    name = "coverage"
    unit = "share of real images"
    citation = "Naeem et al., arXiv 2002.09797"
