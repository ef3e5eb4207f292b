"""Populations of feature vectors whose distances are known exactly, and the coverage of intervals on samples."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np

from cfbench.distances.frechet import Floats, Gaussian, Moments, frechet_distance
from cfbench.distances.intervals import GROUPS, Jackknife, jackknife
from cfbench.distances.kernel import KernelSums, cubic_kernel

CUMULANTS = {
    "gaussian": (0.0, 1.0, 0.0),
    "rectified": (1 / sqrt(2 * pi), 0.5 - 0.5 / pi, sqrt(2 / pi) - 1.5 / sqrt(2 * pi) + 2 / (2 * pi) ** 1.5),
    "exponential": (1.0, 1.0, 2.0),
}
"""Mean, variance and third cumulant of a component of each law."""

SHARED = 0.8
"""Weight of the query's components in those of its counterfactual, whose own have weight 0.6."""


@dataclass(frozen=True)
class Population:
    """Vectors ``offset + mix z`` [D] of independent components z with the given cumulants."""

    mix: Floats
    offset: Floats
    cumulants: tuple[float, float, float]

    @property
    def gaussian(self) -> Gaussian:
        mean, variance, _ = self.cumulants
        return Gaussian(self.offset + mean * self.mix.sum(axis=1), variance * self.mix @ self.mix.T)

    def third_moment(self) -> Floats:
        """E x x x, ``[D, D, D]``: from the mean, covariance and third cumulant."""
        mean, covariance = self.gaussian.mean, self.gaussian.covariance
        paired = np.einsum("ij,k->ijk", covariance, mean)
        skew = self.cumulants[2] * np.einsum("ia,ja,ka->ijk", self.mix, self.mix, self.mix, optimize=True)
        symmetric = paired + paired.transpose(0, 2, 1) + paired.transpose(2, 1, 0)
        return np.einsum("i,j,k->ijk", mean, mean, mean) + symmetric + skew


@dataclass(frozen=True)
class Pair:
    """Real vectors y and made ones x: same law, different mix and offset; ``strength`` 0 and ``shift`` 0 are equal."""

    law: str
    dimensions: int
    strength: float
    shift: float

    @property
    def populations(self) -> tuple[Population, Population]:
        """Of the made and of the real vectors."""
        random = np.random.default_rng(7)
        d = self.dimensions
        real = random.normal(size=(d, d)) / sqrt(d) + np.eye(d)
        made = real @ (np.eye(d) + self.strength * random.normal(size=(d, d)) / sqrt(d))
        mean, variance, skew = CUMULANTS[self.law]
        own = sqrt(1 - SHARED**2)
        level, third = SHARED + own, SHARED**3 + own**3
        offset = self.shift - mean * (level - 1) * made.sum(axis=1)
        return (
            Population(made, offset, (mean * level, variance, skew * third)),
            Population(real, np.zeros(d), (mean, variance, skew)),
        )

    def draw(self, random: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        """Made and real vectors ``[n, D]``, paired row by row."""
        z, w = (self._components(random, n) for _ in range(2))
        made, real = self.populations
        return made.offset + (SHARED * z + sqrt(1 - SHARED**2) * w) @ made.mix.T, z @ real.mix.T

    def _components(self, random: np.random.Generator, n: int) -> Floats:
        size = (n, self.dimensions)
        if self.law == "exponential":
            return random.exponential(size=size)
        normal = random.normal(size=size)
        return normal if self.law == "gaussian" else np.maximum(normal, 0)

    @property
    def frechet(self) -> float:
        """The populations' Frechet distance."""
        made, real = self.populations
        return frechet_distance(made.gaussian, real.gaussian)

    @property
    def kernel(self) -> float:
        """The populations' squared MMD under the cubic kernel, from their first three moments."""
        moments = []
        for population in self.populations:
            mean, covariance = population.gaussian.mean, population.gaussian.covariance
            moments.append((mean, covariance + np.outer(mean, mean), population.third_moment()))
        d = self.dimensions
        first, second, third = (np.square(made - real).sum() for made, real in zip(*moments, strict=True))
        return float(3 * first / d + 3 * second / d**2 + third / d**3)


def frechet_jackknife(pair: Pair, n: int, seed: int, *, paired: bool) -> Jackknife:
    """Of n made vectors against the real population's moments, or against the n real vectors they are paired with."""
    made, real = pair.draw(np.random.default_rng(seed), n)
    parts = [[Moments.of(part) for part in np.array_split(vectors, GROUPS)] for vectors in (made, real)]
    fixed = pair.populations[1].gaussian

    def distance(left_out: tuple[int, ...]) -> float:
        kept = [
            Moments.sum((part for k, part in enumerate(side) if k not in left_out), pair.dimensions).gaussian
            for side in (parts if paired else parts[:1])
        ]
        return frechet_distance(kept[0], kept[1] if paired else fixed)

    return jackknife(distance)


def kernel_jackknife(pair: Pair, n: int, seed: int, *, paired: bool) -> Jackknife:
    """Of n made vectors against the n real ones they are paired with, or n independent ones."""
    random = np.random.default_rng(seed)
    made, real = pair.draw(random, n)
    if not paired:
        real = pair.draw(random, n)[1]
    groups = np.arange(n) % GROUPS
    sums = KernelSums.of(made, real, cubic_kernel, groups_x=groups, groups_y=None if paired else groups)
    return jackknife(sums.squared_mmd)
