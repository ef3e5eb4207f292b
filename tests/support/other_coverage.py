"""How often intervals hold the truth: least of several oracles, students, correlations, distances of two samples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from populations import Pair
from scipy.stats import norm

from cfbench.collector import groups_of
from cfbench.distances.frechet import Floats, Moments, frechet_distance
from cfbench.distances.intervals import GROUPS, Jackknife, jackknife, plain_jackknife
from cfbench.distances.kernel import CMMD_SCALE, Kernel, KernelSums, cubic_kernel, gaussian_kernel
from cfbench.metrics.attributes import correlations
from cfbench.stats import crossed_difference, least_rate

Random = np.random.Generator


def least_oracle(rates: tuple[float, ...], correlation: float, n: int, runs: int) -> float:
    """Coverage of the least of several oracles' agreement; their answers to a query correlate by a shared normal."""
    random = np.random.default_rng(n)
    held = 0
    for _ in range(runs):
        shared = np.sqrt(correlation) * random.normal(size=(n, 1))
        agreed = shared + np.sqrt(1 - correlation) * random.normal(size=(n, len(rates))) < norm.ppf(rates)
        low, high = least_rate(agreed.sum(axis=0).tolist(), n)
        held += low <= min(rates) <= high
    return held / runs


def students(gain: float, between: float, images: int, runs: int) -> float:
    """Coverage of the gain of three students over three others on shared images.

    A student agrees where the sum of an image's ease (variance 1), its own skill (variance ``between``), noise (1) and
    the level of its training set is above 0: the share of agreement is a normal probability.
    """
    random = np.random.default_rng(images)
    levels, total = (1.0 + gain, 1.0), np.sqrt(2 + between)
    truth = norm.cdf(levels[0] / total) - norm.cdf(levels[1] / total)
    held = 0
    for _ in range(runs):
        ease = random.normal(size=images)
        a, b = (
            level + ease + np.sqrt(between) * random.normal(size=(3, 1)) + random.normal(size=(3, images)) > 0
            for level in levels
        )
        interval = crossed_difference(a.astype(float), b.astype(float)).interval
        assert interval is not None
        held += interval[0] <= truth <= interval[1]
    return held / runs


def attributes(random: Random, n: int, count: int, data: float, changes: float) -> tuple[Floats, Floats]:
    """Chances of attributes before, and their change; their latent values and changes correlate as given."""
    before, change = (
        np.sqrt(share) * random.normal(size=(n, 1)) + np.sqrt(1 - share) * random.normal(size=(n, count))
        for share in (data, changes)
    )
    first, second = (1 / (1 + np.exp(-1.5 * latent)) for latent in (before, before + change))
    return first, second - first


def correlation_difference(n: int, count: int, data: float, changes: float, runs: int, draws: int) -> float:
    """Coverage of the expectation at n of the sum of differences of correlations with the first attribute."""
    random, group = np.random.default_rng(n), groups_of(np.arange(n))

    def figure(pair: tuple[Floats, Floats], left_out: tuple[int, ...] = ()) -> float:
        kept = ~np.isin(group, left_out)
        first, second = (correlations(part[kept], 0) for part in pair)
        return float(np.abs(first - second).sum())

    expected = np.mean([figure(attributes(random, n, count, data, changes)) for _ in range(draws)])
    held = 0
    for _ in range(runs):
        pair = attributes(random, n, count, data, changes)
        low, high = plain_jackknife(lambda left_out, pair=pair: figure(pair, left_out)).interval
        held += low <= expected <= high
    return held / runs


def both(figure: object) -> Jackknife:
    """The jackknife over the groups of the first sample and over those of the second, numbered from ``GROUPS`` on."""
    assert callable(figure)
    second = jackknife(lambda left_out: figure(tuple(GROUPS + group for group in left_out)))
    return jackknife(figure).and_of(second)


def frechet_of_two(pair: Pair, made: int, real: int, runs: int) -> Iterator[Jackknife]:
    """Jackknives of the Frechet distance of independent samples."""
    for seed in range(runs):
        random = np.random.default_rng([seed, made])
        sides = pair.draw(random, made)[0], pair.draw(random, real)[1]
        parts = [[Moments.of(part) for part in np.array_split(side, GROUPS)] for side in sides]

        def figure(left_out: tuple[int, ...], parts: list[list[Moments]] = parts) -> float:
            kept = [
                Moments.sum((part for k, part in enumerate(side, first) if k not in left_out), pair.dimensions)
                for first, side in zip((0, GROUPS), parts, strict=True)
            ]
            return frechet_distance(kept[0].gaussian, kept[1].gaussian)

        yield both(figure)


def kernel_sums(made: Floats, real: Floats, kernel: Kernel) -> KernelSums:
    groups = [np.arange(len(side)) % GROUPS for side in (made, real)]
    return KernelSums.of(made, real, kernel, groups_x=groups[0], groups_y=GROUPS + groups[1])


def kernel_of_two(pair: Pair, made: int, real: int, runs: int) -> Iterator[Jackknife]:
    """Jackknives of the unbiased squared distance of independent samples under the cubic kernel."""
    for seed in range(runs):
        random = np.random.default_rng([seed, made])
        yield both(kernel_sums(pair.draw(random, made)[0], pair.draw(random, real)[1], cubic_kernel).squared_mmd)


def embeddings(random: Random, n: int, shift: float, dimensions: int = 16) -> Floats:
    vectors = random.normal(size=(n, dimensions)) + shift
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def cmmd_of_two(shift: float, made: int, real: int, runs: int) -> tuple[float, Iterator[Jackknife]]:
    """The distance of unit vectors from many of them, and jackknives of its biased estimate on independent samples."""
    random = np.random.default_rng(1)
    many = embeddings(random, 10_000, shift), embeddings(random, 10_000, 0.0)
    truth = CMMD_SCALE * kernel_sums(*many, gaussian_kernel).squared_mmd()

    def found() -> Iterator[Jackknife]:
        for _ in range(runs):
            sums = kernel_sums(embeddings(random, made, shift), embeddings(random, real, 0.0), gaussian_kernel)
            yield both(lambda left_out, sums=sums: CMMD_SCALE * sums.squared_mmd_biased(left_out))

    return truth, found()


def share_held(found: Iterator[Jackknife], truth: float) -> float:
    return float(np.mean([each.interval[0] <= truth <= each.interval[1] for each in found]))
