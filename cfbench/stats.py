"""Intervals of rates and means (Wilson, bootstrap, crossed effects of seeds and queries), and ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
Floats = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 2000

LEAST = 50
"""Values below which a mean has no interval: of 20 skewed ones the bootstrap's covers 87 to 98 % of the time."""

LEAST_SEEDS = 3
"""Seeds below which means over seeds have no interval: of two it covers up to 98 % of the time."""

BLOCK = 2_000_000
"""Entries of the resampling table held at once, so that memory does not grow with the number of queries."""


@lru_cache(maxsize=4096)
def wilson(successes: int, n: int, level: float = LEVEL) -> Interval:
    """Wilson score interval of a rate of ``successes`` in ``n`` trials (n >= 1), 95 % unless another ``level``."""
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(confidence_level=level, method="wilson")
    return float(interval.low), float(interval.high)


def least_rate(counts: Sequence[int], n: int) -> Interval:
    """95 % interval of the least of some true rates, from their ``counts`` of successes in ``n`` trials each.

    Wilson's limits of the least count with unequal tails. The least count of k equal rates is likely to be too low, so
    the upper limit errs with at most ``(1 - LEVEL) / k`` for each (Bonferroni) and the lower one with the rest. Rates
    whose own interval lies above that of the least have no part in it; of one rate or two it is Wilson's interval.
    """
    least = min(counts)
    reach = wilson(least, n)[1]
    near = sum(wilson(count, n)[0] <= reach for count in counts)
    above = (1 - LEVEL) / max(near, 2)
    below = 1 - LEVEL - above
    return wilson(least, n, 1 - 2 * below)[0], wilson(least, n, 1 - 2 * above)[1]


@lru_cache(maxsize=4)
def _counts(n: int, rows: int, seed: int, block: int) -> Floats:
    """How often each of ``n`` values is drawn in each of ``rows`` resamples, ``[rows, n]``."""
    drawn = np.random.default_rng([seed, block]).integers(0, n, size=(rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def _blocks(n: int) -> Iterator[tuple[int, int]]:
    """Number and rows of the blocks that make up all resamples of ``n`` values."""
    rows = max(1, min(RESAMPLES, BLOCK // n))
    for block, start in enumerate(range(0, RESAMPLES, rows)):
        yield block, min(rows, RESAMPLES - start)


def bernstein_margin(deviation: float, width: float, n: int) -> float:
    """Half of a 95 % interval of the mean of ``n`` values of standard deviation ``deviation`` in a range of ``width``.

    The empirical Bernstein bound (Maurer and Pontil, COLT 2009, theorem 4) on both sides; ``deviation`` divides by n.
    """
    log = math.log(4 / (1 - LEVEL))
    return deviation * math.sqrt(2 * log / (n - 1)) + width * 7 * log / (3 * (n - 1))


def bootstrap_mean(values: Floats, *, seed: int = 0) -> Interval | None:
    """95 % symmetric studentised bootstrap interval of the mean of ``values`` [n]; None below ``LEAST`` values.

    Hall (JRSS B 50, 1988): the mean -+ the quantile of ``|t*|`` times the standard error. It covers on skewed values,
    where the percentile and BCa forms fall short, and on heavy-tailed differences, where the equal-tailed form does.
    Where all but a few values are equal or nearly so, resamples without those few make the quantile huge or infinite:
    the interval is no wider than :func:`bernstein_margin` allows, with the range of the values as that of all there can
    be. It stays within that range, and is that range where squares vanish or overflow. Every call with the same n and
    seed reads the same resamples. Sums avoid BLAS, so that threads do not change a bit.
    """
    n = len(values)
    if n < LEAST:
        return None
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low, high
    mean = float(values.mean())
    centred = values - mean
    squares = np.square(centred)
    if not 0 < squares.sum() < np.inf:
        return low, high
    ratios = []
    for block, rows in _blocks(n):
        counts = _counts(n, rows, seed, block)
        means = np.einsum("bn,n->b", counts, centred) / n
        variances = np.einsum("bn,n->b", counts, squares) / n - np.square(means)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios.append(np.nan_to_num(np.abs(means) / np.sqrt(np.maximum(variances, 0)), posinf=np.inf))
    quantile = float(np.quantile(np.concatenate(ratios), LEVEL, method="inverted_cdf"))
    deviation = float(np.sqrt(squares.mean()))
    margin = min(quantile * deviation, bernstein_margin(deviation, high - low, n))
    return max(mean - margin, low), min(mean + margin, high)


def holm(ps: Floats) -> Floats:
    """The p-values ``[n]`` of a family, corrected so that all below .05 hold at once (Holm, Scand J Stat 6, 1979)."""
    order = np.argsort(ps)
    corrected = np.empty_like(ps)
    corrected[order] = np.minimum(np.maximum.accumulate(ps[order] * np.arange(len(ps), 0, -1)), 1)
    return corrected


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference of means, its 95 % interval if one is known to cover, and the p-value of its being 0."""

    value: float
    interval: Interval | None
    p: float


@dataclass(frozen=True)
class _Variance:
    """Variance of a difference, and what it is put together of: mean squares with their degrees of freedom."""

    value: float
    pieces: Sequence[tuple[float, int]]

    def t_test(self, difference: float, least: int) -> tuple[float, float]:
        """Half of the 95 % interval and the p-value, by Student's t; nothing is certain where nothing varies.

        Degrees of freedom by Satterthwaite (Biometrics Bulletin 2, 1946), at ``least`` so many.
        """
        from scipy.stats import t

        if self.value <= 0:
            return 0.0, 0.0 if difference else 1.0
        exponent = -math.frexp(self.value)[1]  # exact, and the squares neither vanish nor overflow
        squares = sum(math.ldexp(piece, exponent) ** 2 / degrees for piece, degrees in self.pieces)
        freedom = max(math.ldexp(self.value, exponent) ** 2 / squares, least)
        error = math.sqrt(self.value)
        return float(t.ppf((1 + LEVEL) / 2, freedom)) * error, 2 * float(t.sf(abs(difference) / error, freedom))


@dataclass(frozen=True)
class _Crossed:
    """Difference of the means of two tables of crossed seeds and queries, and its variance three ways.

    Attributes:
        whole: of seeds and queries. seeds: of the seed means alone. queries: as if seeds were fixed.
        least: degrees of freedom of the seeds of the smaller table, 1 where both have one seed.
    """

    value: float
    whole: _Variance
    seeds: _Variance
    queries: _Variance
    least: int

    @classmethod
    def of(cls, a: Floats, b: Floats) -> _Crossed:
        difference = a.mean(axis=0) - b.mean(axis=0)
        queries = len(difference)
        seeds, interactions = [], []
        for table in (table for table in (a, b) if len(table) > 1):
            degrees = len(table) - 1
            means = table.mean(axis=1)
            rest = table - means[:, None] - table.mean(axis=0) + table.mean()
            seeds.append((float(means.var(ddof=1)) / len(table), degrees))
            left = degrees * (queries - 1)
            interactions.append((float(np.square(rest).sum()) / left / queries / len(table), left))
        between, interaction = (sum(variance for variance, _ in pieces) for pieces in (seeds, interactions))
        per_query = float(difference.var(ddof=1)) / queries
        whole, parts = between, list(seeds)
        if per_query > interaction:
            whole += per_query - interaction
            parts += [(per_query, queries - 1), *interactions]
        return cls(
            float(difference.mean()),
            _Variance(whole, parts),
            _Variance(between, seeds),
            _Variance(per_query, [(per_query, queries - 1)]),
            min((degrees for _, degrees in seeds), default=1),
        )


def crossed_difference(a: Floats, b: Floats) -> Estimate:
    """Difference of the means of two tables ``[seeds, queries]`` over the same queries (two or more), A - B.

    Seeds and queries are crossed random effects, the seeds of A independent of those of B: the claim is about new
    queries *and* new seeds. The variance is that of the seed means, M, and what the queries add: the variance of the
    per-query differences less the share of the interaction, which M holds already, at least zero. Degrees of freedom
    are Satterthwaite's, at least those of the seeds of one table. Two or three seeds often hide their variance, so the
    interval is never narrower than Welch's t interval over the seed means, and the p-value is the larger of the two
    tests'. A table of one seed adds no seed variance: the claim then holds for that seed only. Two seeds of either
    table leave the p-value, which errs to the safe side, without an interval.
    """
    found = _Crossed.of(a, b)
    tests = [variance.t_test(found.value, found.least) for variance in (found.whole, found.seeds)]
    margin, p = (max(each) for each in zip(*tests, strict=True))
    known = all(len(table) >= LEAST_SEEDS for table in (a, b) if len(table) > 1)
    return Estimate(found.value, (found.value - margin, found.value + margin) if known else None, p)


def crossed_p(a: Floats, b: Floats) -> float:
    """p-value of the difference of two tables ``[seeds, queries]``, one of a large family.

    Of :func:`crossed_difference`, Welch's test of three seeds tells nothing apart once p-values are corrected for
    hundreds of pairs. Here the p-value is the larger of the crossed test's and of the paired t test's of the means over
    seeds. It keeps its level where every query draws random numbers of its own, as in this harness. Of a method that
    depends on its seed as a whole, such as one that trains with it, it rejects at 5 % up to 8 % of the time.
    """
    found = _Crossed.of(a, b)
    return max(variance.t_test(found.value, found.least)[1] for variance in (found.whole, found.queries))


def mean_interval(values: Floats) -> Interval | None:
    """95 % interval of the mean of ``values`` [seeds, queries]; None below two queries, and of two seeds.

    Of one seed it is :func:`bootstrap_mean` and holds for that seed; of several it holds for new seeds as well, see
    :func:`crossed_difference`.
    """
    if values.shape[1] < 2:
        return None
    if len(values) == 1:
        return bootstrap_mean(values[0])
    return crossed_difference(values, np.zeros((1, values.shape[1]))).interval


@dataclass(frozen=True)
class Ranking:
    """Friedman's test on average ranks, and the Nemenyi critical difference.

    Attributes:
        chi2: Friedman's statistic. f: Iman and Davenport's form of it, less conservative; p: of ``f``.
        critical_difference: average ranks that differ by more are told apart at the 5 % level.
    """

    chi2: float
    f: float
    p: float
    critical_difference: float


def average_ranks(scores: Floats, *, higher_is_better: bool) -> Floats:
    """Average rank of each method, 1 the best, ties shared; ``scores`` [data sets, methods]."""
    from scipy.stats import rankdata

    ranks: Floats = rankdata(-scores if higher_is_better else scores, axis=1).mean(axis=0)
    return ranks


def friedman(ranks: Floats, n: int) -> Ranking:
    """Do methods differ, given their average ``ranks`` [methods] over ``n`` data sets?

    Demsar, JMLR 7 (2006), sections 3.2.1 and 3.2.2; without the correction for ties, as there. Methods ranked the same
    way on every data set give an infinite ``f`` and p = 0.
    """
    from scipy.stats import f, studentized_range

    k = len(ranks)
    chi2 = 12 * n / (k * (k + 1)) * (float(np.square(ranks).sum()) - k * (k + 1) ** 2 / 4)
    rest = n * (k - 1) - chi2
    statistic = (n - 1) * chi2 / rest if rest > 1e-9 else np.inf
    critical = float(studentized_range.ppf(LEVEL, k, np.inf) * np.sqrt(k * (k + 1) / (12 * n)))
    return Ranking(chi2, statistic, float(f.sf(statistic, k - 1, (k - 1) * (n - 1))), critical)


def roc_auc(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting half (Mann-Whitney)."""
    from scipy.stats import rankdata

    count = int(positive.sum())
    ranks = float(rankdata(scores)[positive].sum())
    return (ranks - count * (count + 1) / 2) / (count * (len(positive) - count))
