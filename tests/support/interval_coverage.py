"""How often 95 % intervals hold the truth, by simulation: cases that the tests and the report share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import binom, t

from cfbench.stats import (
    Floats,
    Interval,
    bootstrap_mean,
    crossed_difference,
    paired_rate_difference,
    sign_flip,
    wilson,
)

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


def wilson_coverage(n: int, rates: Floats) -> Floats:
    """Exact coverage of Wilson's interval at each of ``rates``, by summing binomial probabilities."""
    limits = np.array([wilson(successes, n) for successes in range(n + 1)])
    inside = (limits[:, 0] <= rates[:, None]) & (rates[:, None] <= limits[:, 1])
    return np.asarray((binom.pmf(np.arange(n + 1), n, rates[:, None]) * inside).sum(axis=1))


def holds(interval: Interval | None, truth: float) -> bool:
    return interval is not None and interval[0] <= truth <= interval[1]


def mean_coverage(
    name: str, n: int, runs: int, interval: Callable[[Floats], Interval | None] = bootstrap_mean
) -> float:
    """Share of ``runs`` samples of ``n`` values whose interval of the mean holds the truth."""
    draw, truth = MEANS[name]
    random = np.random.default_rng(n)
    return float(np.mean([holds(interval(draw(random, (n,))), truth) for _ in range(runs)]))


def crossed_table(random: Random, seeds: int, queries: int, kind: str, share: float) -> Floats:
    """A table ``[seeds, queries]`` of mean zero in which seeds make ``share`` of the variance of its mean."""
    query, rest = EFFECTS[kind]
    seed = seeds * (query / queries + rest / (seeds * queries)) * share / (1 - share)
    return np.asarray(
        np.sqrt(seed) * random.normal(size=(seeds, 1))
        + np.sqrt(query) * random.normal(size=(1, queries))
        + np.sqrt(rest) * random.normal(size=(seeds, queries))
    )


def crossed_interval(a: Floats, b: Floats) -> Interval:
    return crossed_difference(a, b).interval


def crossed_coverage(
    seeds: int,
    kind: str,
    share: float,
    runs: int,
    *,
    two: bool = False,
    interval: Callable[[Floats, Floats], Interval] = crossed_interval,
) -> float:
    """Coverage of the mean of a method with several seeds, or of the difference of ``two`` such methods."""
    random = np.random.default_rng(seeds)
    queries, held = 200, 0
    for _ in range(runs):
        a = crossed_table(random, seeds, queries, kind, share)
        b = crossed_table(random, seeds, queries, kind, share) if two else np.zeros((1, queries))
        held += holds(interval(a, b), 0.0)
    return held / runs


def student(values: Floats) -> Interval:
    """Student's t interval of a mean."""
    margin = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - margin), float(values.mean() + margin)


def pigeonhole(a: Floats, b: Floats, *, resamples: int = 500) -> Interval:
    """Percentile bootstrap over seeds and over queries (Owen, Annals of Applied Statistics 1, 2007)."""
    random = np.random.default_rng(0)

    def weights(size: int) -> Floats:
        return random.multinomial(size, np.full(size, 1 / size), size=resamples) / size

    queries = weights(a.shape[1])
    means = [((weights(len(table)) @ table) * queries).sum(axis=1) for table in (a, b)]
    low, high = np.quantile(means[0] - means[1], (0.025, 0.975))
    return float(low), float(high)


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


def paired_mean_coverage(
    name: str, n: int, runs: int, interval: Callable[[Floats], Interval | None] = bootstrap_mean
) -> float:
    """Coverage of the difference of two paired means, one seed each."""
    a, b = paired_tables(name, n, runs)
    return float(np.mean([holds(interval(row), 0.0) for row in a - b]))


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


def paired_rate_coverage(n: int, first: float, second: float, runs: int) -> float:
    """Coverage of the difference of two paired rates with discordant shares ``first`` and ``second``."""
    random = np.random.default_rng(n)
    held = 0
    for _ in range(runs):
        where = random.random(n)
        a, b = (where < first).astype(float), ((where >= first) & (where < first + second)).astype(float)
        held += holds(paired_rate_difference(a, b), first - second)
    return held / runs
