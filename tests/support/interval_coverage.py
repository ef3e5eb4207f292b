"""How often 95 % intervals hold the truth, by simulation: cases that the tests and the report share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, t

from cfbench.paired import LEAST_DIFFERING, LEAST_PAIRS, paired_rate_difference, sign_flip
from cfbench.stats import Floats, Interval, _blocks, _counts, bernstein_margin, crossed_difference, wilson

Random = np.random.Generator
Draw = Callable[[Random, tuple[int, ...]], Floats]

MEANS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda random, shape: random.normal(size=shape), 0.0),
    "exponential": (lambda random, shape: random.exponential(size=shape), 1.0),
    "log-normal, sigma 1": (lambda random, shape: random.lognormal(size=shape), float(np.exp(0.5))),
    "exponential, 9 of 10 zero": (
        lambda random, shape: random.exponential(size=shape) * (random.random(shape) < 0.1),
        0.1,
    ),
    "share of 3 oracles, rate .3": (lambda random, shape: random.binomial(3, random.beta(0.3, 0.7, shape)) / 3, 0.3),
}
"""Distribution of one query's value, and its mean."""

EFFECTS = {
    "queries": (1.0, 0.1),
    "queries and interaction": (1.0, 1.0),
    "interaction": (0.0, 1.0),
}
"""Standard deviation, squared, of the effect of the query and of what is left for each (seed, query)."""


LOW, HIGH = 0.93, 0.97


def assert_covers(share: float, runs: int, *, low: float = LOW, high: float = HIGH) -> None:
    """The count of covering intervals is one that a coverage between ``low`` and ``high`` gives (both tails .001)."""
    count = round(share * runs)
    assert binom.ppf(0.001, runs, low) <= count <= binom.ppf(0.999, runs, high), share


def wilson_coverage(n: int, rates: Floats) -> Floats:
    """Exact coverage of Wilson's interval at each of ``rates``, by summing binomial probabilities."""
    limits = np.array([wilson(successes, n) for successes in range(n + 1)])
    inside = (limits[:, 0] <= rates[:, None]) & (rates[:, None] <= limits[:, 1])
    return np.asarray((binom.pmf(np.arange(n + 1), n, rates[:, None]) * inside).sum(axis=1))


def holds(interval: Interval | None, truth: float) -> bool:
    return interval is not None and interval[0] <= truth <= interval[1]


def bootstrap_limits(samples: Floats) -> Floats:
    """:func:`cfbench.stats.bootstrap_mean` of every row of ``samples`` [runs, n], limits ``[2, runs]``, all at once."""
    n, mean = samples.shape[1], samples.mean(axis=1)
    centred = samples - mean[:, None]
    parts = []
    for block, rows in _blocks(n):
        counts = _counts(n, rows, 0, block)
        means = counts @ centred.T / n
        variances = counts @ np.square(centred).T / n - np.square(means)
        with np.errstate(divide="ignore", invalid="ignore"):
            parts.append(np.nan_to_num(np.abs(means) / np.sqrt(np.maximum(variances, 0)), posinf=np.inf))
    quantile = np.quantile(np.concatenate(parts), 0.95, axis=0, method="inverted_cdf")
    deviations, widths = np.sqrt(np.square(centred).mean(axis=1)), np.ptp(samples, axis=1)
    with np.errstate(invalid="ignore"):
        margin = np.nan_to_num(quantile * deviations, nan=0.0, posinf=np.inf)
    margin = np.minimum(margin, [bernstein_margin(*pair, n) for pair in zip(deviations, widths, strict=True)])
    return np.stack([np.maximum(mean - margin, samples.min(axis=1)), np.minimum(mean + margin, samples.max(axis=1))])


def student_limits(samples: Floats) -> Floats:
    """Student's t intervals of the means of the rows of ``samples`` [runs, n], ``[2, runs]``."""
    n, mean = samples.shape[1], samples.mean(axis=1)
    margin = t.ppf(0.975, n - 1) * samples.std(axis=1, ddof=1) / np.sqrt(n)
    return np.stack([mean - margin, mean + margin])


def held(limits: Floats, truth: float) -> NDArray[np.bool_]:
    return np.asarray((limits[0] <= truth) & (truth <= limits[1]))


def mean_coverage(name: str, n: int, runs: int, limits: Callable[[Floats], Floats] = bootstrap_limits) -> float:
    """Share of ``runs`` samples of ``n`` values whose interval of the mean holds the truth."""
    draw, truth = MEANS[name]
    return float(held(limits(draw(np.random.default_rng(n), (runs, n))), truth).mean())


def crossed_table(random: Random, seeds: int, queries: int, kind: str, share: float) -> Floats:
    """A table ``[seeds, queries]`` of mean zero in which seeds make ``share`` of the variance of its mean."""
    query, rest = EFFECTS[kind]
    seed = seeds * (query / queries + rest / (seeds * queries)) * share / (1 - share)
    return np.asarray(
        np.sqrt(seed) * random.normal(size=(seeds, 1))
        + np.sqrt(query) * random.normal(size=(1, queries))
        + np.sqrt(rest) * random.normal(size=(seeds, queries))
    )


def crossed_interval(a: Floats, b: Floats) -> Interval | None:
    return crossed_difference(a, b).interval


def crossed_coverage(
    seeds: int,
    kind: str,
    share: float,
    runs: int,
    *,
    two: bool = False,
    interval: Callable[[Floats, Floats], Interval | None] = crossed_interval,
) -> float:
    """Coverage of the mean of a method with several seeds, or of the difference of ``two`` such methods."""
    random = np.random.default_rng(seeds)
    queries, hits = 200, 0
    for _ in range(runs):
        a = crossed_table(random, seeds, queries, kind, share)
        b = crossed_table(random, seeds, queries, kind, share) if two else np.zeros((1, queries))
        hits += holds(interval(a, b), 0.0)
    return hits / runs


def queries_only(a: Floats, b: Floats) -> Interval:
    """Normal interval over queries of the seed means, as if seeds were fixed."""
    difference = a.mean(axis=0) - b.mean(axis=0)
    margin = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    return float(difference.mean() - margin), float(difference.mean() + margin)


def paired_tables(name: str, n: int, runs: int) -> tuple[Floats, Floats]:
    """Values ``[runs, n]`` of two methods of equal mean; they share a quarter of them, so that they correlate."""
    draw, _ = MEANS[name]
    random = np.random.default_rng(n)
    shared, own = draw(random, (runs, n)), draw(random, (2, runs, n))
    a, b = np.where(random.random((2, runs, n)) < 0.5, shared, own)
    return a, b


@dataclass(frozen=True)
class Given:
    """Share of the samples that are given an interval, and the share of these whose interval holds the truth."""

    given: float
    covers: float


def paired_mean_coverage(name: str, n: int, runs: int, limits: Callable[[Floats], Floats] = bootstrap_limits) -> Given:
    """Of the difference of two paired means, one seed each; given as by :func:`cfbench.paired.mean_of_differences`."""
    a, b = paired_tables(name, n, runs)
    differences = a - b
    one_sign = (differences >= 0).all(axis=1) | (differences <= 0).all(axis=1)
    given = (n >= LEAST_PAIRS) & (one_sign | (np.count_nonzero(differences, axis=1) >= LEAST_DIFFERING))
    covers = held(limits(differences[given]), 0.0).mean() if given.any() else np.nan
    return Given(float(given.mean()), float(covers))


def sign_flip_rejections(name: str, n: int, runs: int) -> float:
    """How often the sign-flip test at 5 % tells two methods of equal mean apart."""
    a, b = paired_tables(name, n, runs)
    return float((sign_flip((a - b).T, resamples=1_999) < 0.05).mean())


def crossed_rejections(seeds: int, kind: str, share: float, runs: int) -> tuple[float, float]:
    """How often two methods of equal mean and several seeds are told apart: crossed test, sign flip of seed means."""
    random = np.random.default_rng(seeds)
    tables = [[crossed_table(random, seeds, 200, kind, share) for _ in "ab"] for _ in range(runs)]
    crossed = np.mean([crossed_difference(a, b).p < 0.05 for a, b in tables])
    means = np.stack([a.mean(axis=0) - b.mean(axis=0) for a, b in tables], axis=1)
    return float(crossed), float((sign_flip(means, resamples=1_999) < 0.05).mean())


def paired_rate_coverage(n: int, first: tuple[float, float], second: tuple[float, float], points: int = 100) -> float:
    """Exact coverage of the difference of two paired rates, averaged over discordant shares in the given ranges."""
    random = np.random.default_rng(n)
    most = [int(binom.ppf(1 - 1e-7, n, high)) for _, high in (first, second)]
    counts = [(x, y) for x in range(most[0] + 1) for y in range(most[1] + 1) if x + y <= n]
    limits = np.array([paired_rate_difference(*pairs_of(n, x, y)) for x, y in counts]).T
    x, y = np.array(counts).T
    shares = []
    for _ in range(points):
        p, q = random.uniform(*first), random.uniform(*second)
        chances = binom.pmf(x, n, p) * binom.pmf(y, n - x, q / (1 - p))
        shares.append(float((chances * held(limits, p - q)).sum()))
    return float(np.mean(shares))


def pairs_of(n: int, first: int, second: int) -> tuple[Floats, Floats]:
    """Two columns of 0 and 1 that differ in ``first`` rows one way and in ``second`` the other."""
    a, b = np.zeros(n), np.zeros(n)
    a[:first] = 1
    b[first : first + second] = 1
    return a, b
