"""How often intervals hold the truth: least of several oracles, students, correlations, distances of two samples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from judged import batch_of, judges_of, member, scores_of
from neighbour_coverage import Table, images_of
from populations import Pair
from scipy.stats import norm

from cfbench.collector import groups_of
from cfbench.comparison import pseudo_values
from cfbench.dataset import Images
from cfbench.distances.frechet import Floats, Gaussian, Moments, frechet_distance, mixture
from cfbench.distances.intervals import GROUPS, Jackknife, jackknife, plain_jackknife
from cfbench.distances.kernel import CMMD_SCALE, Kernel, KernelSums, cubic_kernel, gaussian_kernel
from cfbench.metrics.attributes import correlations
from cfbench.metrics.realism import NormalisedSplitFrechetDistance, SplitFrechetDistance
from cfbench.paired import Pair as Compared
from cfbench.paired import paired_differences
from cfbench.record import Score
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


WIDTH = 8
"""Features of the mixtures."""


def mixed(random: Random, n: int, *, scale: float, apart: float, shift: float) -> Floats:
    """Vectors ``[n, WIDTH]`` of two classes in turn, whose means are ``apart`` in every dimension."""
    vectors = scale * random.normal(size=(n, WIDTH)) + shift
    vectors[1::2] += apart
    return vectors


def mixed_moments(*, scale: float, apart: float, shift: float) -> Gaussian:
    """Mean and covariance of what :func:`mixed` draws."""
    covariance = scale**2 * np.eye(WIDTH) + np.full((WIDTH, WIDTH), apart**2 / 4)
    return Gaussian(np.full(WIDTH, shift + apart / 2), matrix=covariance)


def split_scores(made: Floats, real: Floats) -> dict[str, Score]:
    """``split_fd`` and ``split_fd_normalised`` of made vectors of two classes in turn against real ones."""
    n, classes = len(made), torch.arange(len(made)) % 2
    extractor = Table(np.concatenate([made, real]).tolist())
    reference = Images(images_of(range(n, n + len(real))), torch.arange(len(real)) % 2)
    judges = judges_of(
        member("extractor", extractor), classes=2, image_shape=(1, 1, 2), reference=reference, verdicts="given"
    )
    images = images_of(range(n))
    batch = batch_of(judges, images, images, sources=1 - classes, targets=classes, given=classes.tolist())
    kinds = (SplitFrechetDistance, NormalisedSplitFrechetDistance)
    return {kind.name: scores_of(kind, batch)["all"] for kind in kinds}


def split_coverage(n: int, real: int, shift: float, runs: int) -> dict[str, float]:
    """Coverage of ``split_fd`` and its normalised form, held-out real images being a second sample."""
    random = np.random.default_rng(n)
    made_law, real_law = {"scale": 1.2, "apart": 0.8, "shift": shift}, {"scale": 1.0, "apart": 1.0, "shift": 0.0}
    distance = frechet_distance(mixed_moments(**made_law), mixed_moments(**real_law))
    truths = {"split_fd": distance, "split_fd_normalised": distance / mixed_moments(**real_law).trace}
    held = dict.fromkeys(truths, 0)
    for _ in range(runs):
        for name, found in split_scores(mixed(random, n, **made_law), mixed(random, real, **real_law)).items():
            assert found.ci95 is not None
            held[name] += found.ci95[0] <= truths[name] <= found.ci95[1]
    return {name: count / runs for name, count in held.items()}


def compared_coverage(n: int, real: int, shift: float, runs: int) -> float:
    """Coverage of the difference of two methods' ``split_fd`` on shared queries, as compared: real images fixed."""
    random = np.random.default_rng(n + 1)
    first, second = {"scale": 1.2, "apart": 0.8, "shift": shift}, {"scale": 1.0, "apart": 1.0, "shift": 0.2}
    held_out = mixed(random, real, scale=1.0, apart=1.0, shift=0.0)
    parts = [Moments.of(held_out[index::2]) for index in range(2)]
    judged = mixture(parts, np.array([0.5, 0.5]))
    truth = frechet_distance(mixed_moments(**first), judged) - frechet_distance(mixed_moments(**second), judged)
    held = 0
    for _ in range(runs):
        shared = random.normal(size=(n, WIDTH))
        rows = []
        for law in (first, second):
            vectors = mixed(random, n, **law)
            own = vectors - mixed_centres(n, **law)
            vectors = mixed_centres(n, **law) + np.sqrt(0.5) * (own + law["scale"] * shared)
            rows.append(pseudo_values([split_scores(vectors, held_out)["split_fd"]]))
        [difference] = paired_differences([Compared(*rows, groups=True)])
        assert difference.interval is not None
        held += difference.interval[0] <= truth <= difference.interval[1]
    return held / runs


def mixed_centres(n: int, *, scale: float, apart: float, shift: float) -> Floats:
    """Mean of each vector that :func:`mixed` draws, ``[n, WIDTH]``."""
    centres = np.full((n, WIDTH), shift)
    centres[1::2] += apart
    return centres
