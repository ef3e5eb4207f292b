"""Intervals (Wilson, bootstrap, crossed effects over seeds, jackknife), paired tests, and ranks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
Floats = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 2000

LEAST = 6
"""Values below which a bootstrap has no interval: of five normal ones it covers 93 % of the time, of three 74 %."""

BLOCK = 2_000_000
"""Entries of the resampling table held at once, so that memory does not grow with the number of queries."""

FLIPS = 200
"""Sign flips a comparison of a family, so that the least possible p-value is at most .01 after Holm's correction."""


def wilson(successes: int, n: int) -> Interval:
    """95 % Wilson score interval of a rate of ``successes`` in ``n`` trials (n >= 1)."""
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(confidence_level=LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


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


def bootstrap_mean(values: Floats, *, seed: int = 0) -> Interval | None:
    """95 % symmetric studentised bootstrap interval of the mean of ``values`` [n]; None below ``LEAST`` values.

    Hall (JRSS B 50, 1988): the mean -+ the quantile of ``|t*|`` times the standard error. It covers on skewed values,
    where the percentile and BCa forms fall short, and on heavy-tailed differences, where the equal-tailed form does.
    Few distinct values can make its limits infinite; they are kept within the range of the values. Every call with the
    same n and seed reads the same resamples. Sums avoid BLAS, so that threads do not change a bit.
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
    ratios = []
    for block, rows in _blocks(n):
        counts = _counts(n, rows, seed, block)
        means = np.einsum("bn,n->b", counts, centred) / n
        variances = np.einsum("bn,n->b", counts, squares) / n - np.square(means)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios.append(np.nan_to_num(np.abs(means) / np.sqrt(np.maximum(variances, 0)), posinf=np.inf))
    quantile = float(np.quantile(np.concatenate(ratios), LEVEL, method="inverted_cdf"))
    margin = quantile * float(np.sqrt(squares.mean()))
    return max(mean - margin, low), min(mean + margin, high)


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference of means, its 95 % interval, and the two-sided p-value of its being zero."""

    value: float
    interval: Interval
    p: float


def crossed_difference(a: Floats, b: Floats) -> Estimate:
    """Difference of the means of two tables ``[seeds, queries]`` over the same queries (two or more), A - B.

    Seeds and queries are crossed random effects, the seeds of A independent of those of B: the claim is about new
    queries *and* new seeds. The variance is that of the per-query differences plus the seed component of each table,
    M - E (variance of the seed means less their share of the interaction), at least zero; degrees of freedom by
    Satterthwaite (Biometrics Bulletin 2, 1946). Two or three seeds often hide their variance, so the interval is never
    narrower than Welch's t interval over the seed means, and the p-value is the larger of the two tests'. A table of
    one seed adds no seed variance: the claim then holds for that seed only.
    """
    from scipy.stats import t

    difference = a.mean(axis=0) - b.mean(axis=0)
    queries, value = len(difference), float(difference.mean())
    parts = [(float(difference.var(ddof=1)) / queries, queries - 1)]
    whole = parts[0][0]
    seeds: list[tuple[float, int]] = []
    for table in (a, b):
        degrees = len(table) - 1
        if degrees == 0:
            continue
        means = table.mean(axis=1)
        rest = table - means[:, None] - table.mean(axis=0) + table.mean()
        between = float(means.var(ddof=1)) / len(table)
        interaction = float(np.square(rest).sum()) / (degrees * (queries - 1)) / queries / len(table)
        seeds.append((between, degrees))
        if between > interaction:
            whole += between - interaction
            parts += [(between, degrees), (interaction, degrees * (queries - 1))]
    margin, p = 0.0, 0.0 if value else 1.0
    for variance, pieces in ((whole, parts), (sum(piece for piece, _ in seeds), seeds)):
        if variance > 0:
            freedom = variance**2 / sum(piece**2 / degrees for piece, degrees in pieces)
            error = float(np.sqrt(variance))
            margin = max(margin, float(t.ppf((1 + LEVEL) / 2, freedom)) * error)
            p = max(p, 2 * float(t.sf(abs(value) / error, freedom)))
    return Estimate(value, (value - margin, value + margin), p)


def mean_interval(values: Floats) -> Interval | None:
    """95 % interval of the mean of ``values`` [seeds, queries]; None below two queries.

    Of one seed it is :func:`bootstrap_mean` and holds for that seed; of several it holds for new seeds as well, see
    :func:`crossed_difference`.
    """
    if values.shape[1] < 2:
        return None
    if len(values) == 1:
        return bootstrap_mean(values[0])
    return crossed_difference(values, np.zeros((1, values.shape[1]))).interval


def paired_rate_difference(a: Floats, b: Floats) -> Interval:
    """95 % interval of the difference of two paired rates, values [n] of 0 and 1.

    Bonett and Price (J. Educational and Behavioral Statistics 37, 2012): one is added to either count of discordant
    pairs, so that the interval keeps a width where no pair is discordant.
    """
    from scipy.stats import norm

    n = len(a)
    first, second = (float(np.sum(more > less) + 1) / (n + 2) for more, less in ((a, b), (b, a)))
    error = np.sqrt((first + second - (first - second) ** 2) / (n + 2))
    margin = float(norm.ppf((1 + LEVEL) / 2) * error)
    return max(first - second - margin, -1.0), min(first - second + margin, 1.0)


def mcnemar(a: Floats, b: Floats) -> float:
    """Two-sided p-value of McNemar's exact test on paired values [n] of 0 and 1."""
    from statsmodels.stats.contingency_tables import mcnemar as exact

    first, second = int(np.sum(a > b)), int(np.sum(b > a))
    return float(exact([[0, first], [second, 0]], exact=True).pvalue)


def sign_flip(differences: Floats, *, resamples: int = 9_999, seed: int = 0) -> Floats:
    """Two-sided p-values of the sign-flip test on the mean of each column of ``differences`` [n, comparisons].

    The null: each query's difference is as likely to have either sign. Same test and p-value, (k + 1) / (N + 1)
    doubled, as ``scipy.stats.permutation_test(permutation_type="samples")``, whose flips are drawn for one comparison
    at a time; here all share them. Rows of zeros count for nothing, so that columns of different length can be padded.
    """
    n, comparisons = differences.shape
    total = differences.sum(axis=0)
    tolerance = 1e-12 * np.abs(differences).sum(axis=0)
    above, below = np.ones(comparisons), np.ones(comparisons)
    random = np.random.default_rng(seed)
    rows = max(1, BLOCK // n)
    for start in range(0, resamples, rows):
        bits = random.integers(0, 256, size=(min(rows, resamples - start), -(-n // 8)), dtype=np.uint8)
        kept = np.unpackbits(bits, axis=1, count=n).astype(np.float64)
        flipped = 2 * (kept @ differences) - total
        above += (flipped >= total - tolerance).sum(axis=0)
        below += (flipped <= total + tolerance).sum(axis=0)
    return np.minimum(1.0, 2 * np.minimum(above, below) / (resamples + 1))


@dataclass(frozen=True)
class Pair:
    """Two tables over the same columns, ``[seeds, queries]`` each, or pseudo-values ``[seeds, groups]`` of a jackknife.

    Attributes:
        groups: whether columns are jackknife groups, compared by Student's t with groups - 1 degrees of freedom.
    """

    a: Floats
    b: Floats
    groups: bool = False


@dataclass(frozen=True)
class Difference:
    """A - B with its 95 % interval, the p-value alone and Holm-corrected over its family, and the test's name."""

    value: float
    interval: Interval
    p: float
    corrected: float
    test: str


def paired_differences(family: list[Pair]) -> list[Difference]:
    """Compare the two tables of every pair; p-values are corrected over the whole family (Holm 1979).

    One seed each: the interval is the studentised bootstrap of the differences and the test the sign flip; of values 0
    and 1 Bonett and Price's interval and McNemar's exact test. Both hold for the seeds at hand. Several seeds, unless
    they all gave the same values: :func:`crossed_difference`, which holds for new seeds too. Columns: at least two.
    """
    from statsmodels.stats.multitest import multipletests

    found: list[tuple[Estimate, str]] = []
    for pair in family:
        a, b = _without_equal_seeds(pair.a), _without_equal_seeds(pair.b)
        value = float(a.mean() - b.mean())
        if pair.groups or len(a) > 1 or len(b) > 1:
            found.append((crossed_difference(a, b), "jackknife t" if pair.groups else "crossed t"))
        elif np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all():
            found.append((Estimate(value, paired_rate_difference(a[0], b[0]), mcnemar(a[0], b[0])), "McNemar"))
        else:
            interval = bootstrap_mean(a[0] - b[0]) or crossed_difference(a, b).interval
            found.append((Estimate(value, interval, np.nan), "sign flip"))
    ps = np.array([estimate.p for estimate, _ in found])
    open_rows = np.flatnonzero(np.isnan(ps))
    if len(open_rows):
        stacked = np.zeros((max(family[row].a.shape[1] for row in open_rows), len(open_rows)))
        for column, row in enumerate(open_rows):
            stacked[: family[row].a.shape[1], column] = family[row].a[0] - family[row].b[0]
        ps[open_rows] = sign_flip(stacked, resamples=max(9_999, FLIPS * len(family) - 1))
    corrected = multipletests(ps, alpha=1 - LEVEL, method="holm")[1] if family else ps
    return [
        Difference(estimate.value, estimate.interval, float(p), float(holm), test)
        for (estimate, test), p, holm in zip(found, ps, corrected, strict=True)
    ]


def _without_equal_seeds(table: Floats) -> Floats:
    """One row of a table whose rows are all the same: the method doesn't depend on its seed."""
    return table[:1] if (table == table[0]).all() else table


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
