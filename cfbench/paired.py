"""Paired comparisons of two tables of values over the same queries: differences, intervals, corrected p-values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np

from cfbench.stats import BLOCK, LEVEL, Estimate, Floats, Interval, bootstrap_mean, crossed_difference, holm

LEAST_PAIRS = 100
"""Differences below which their mean has no interval: of 50 skewed ones it covers too often, 98 %."""

LEAST_DIFFERING = 30
"""Differences other than 0, of both signs, below which their mean has no interval: of 19 it covers too often, 99 %."""

MOST_PARTS = 12
"""Parts of 1 up to which values are taken for whole steps."""

MOST_STEPS = 20_000
"""Steps in all differences together up to which the sign-flip test is exact."""

FLIPS = 200
"""Sign flips a comparison of a family, so that the least possible p-value is at most .01 after Holm's correction."""


def mean_of_differences(differences: Floats) -> Interval | None:
    """:func:`bootstrap_mean` of paired ``differences`` [n]; None where too few of them say anything.

    Where both signs occur, few differences other than 0 make the bootstrap's quantile far too large.
    """
    both = differences.min() < 0 < differences.max()
    if len(differences) < LEAST_PAIRS or (both and np.count_nonzero(differences) < LEAST_DIFFERING):
        return None
    return bootstrap_mean(differences)


def paired_rate_difference(a: Floats, b: Floats) -> Interval:
    """95 % interval of the difference of two paired rates, values [n] of 0 and 1.

    Tango's score interval (Statistics in Medicine 17, 1998): the differences that McNemar's statistic, with the
    variance that each implies, does not reject. It keeps a width where no pair is discordant.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    n, first, second = len(a), int(np.sum(a > b)), int(np.sum(b > a))
    estimate = (first - second) / n
    limit = float(norm.ppf((1 + LEVEL) / 2))

    def excess(difference: float) -> float:
        """How far the score statistic of a true difference is inside the critical value."""
        linear = (2 * n - first + second) * difference - first - second
        root = np.sqrt(max(linear**2 + 8 * n * second * difference * (1 - difference), 0.0))
        share = (root - linear) / (4 * n)
        variance = n * (2 * share + difference * (1 - difference))
        return float(limit**2 * variance - (first - second - n * difference) ** 2)

    low, high = (
        end if estimate == end else float(brentq(excess, end, estimate + 1e-9 * (end - estimate), xtol=1e-12))
        for end in (-1.0, 1.0)
    )
    return low, high


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


def whole_steps(values: Floats) -> int | None:
    """Into how many steps 1 must be cut for all ``values`` to be whole steps, as 3 for shares of three oracles.

    None above ``MOST_PARTS``. Values may be rounded to 32 bits.
    """
    for parts in range(1, MOST_PARTS + 1):
        steps = np.rint(values * parts)
        if (np.abs(values * parts - steps) <= 1e-6 * np.abs(steps)).all():
            return parts
    return None


@lru_cache(maxsize=4096)
def _chances(size: int, count: int) -> Floats:
    """Chance of each sum of ``count`` differences that are ``size`` or 0 alike, ``[size * count + 1]``."""
    from scipy.stats import binom

    chances = np.zeros(size * count + 1)
    chances[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
    return chances


def exact_sign_flip(counts: Sequence[int], total: int) -> float:
    """Two-sided p-value of the sign-flip test on the mean of differences that are whole steps.

    It is what :func:`sign_flip` draws at random; of differences of one size it is McNemar's exact test.

    Args:
        counts: how many differences are of 1, 2, ... steps, whatever their sign. total: their sum in steps.
    """
    steps = sum(size * count for size, count in enumerate(counts, start=1))
    least = (steps + abs(total)) // 2
    parts = [np.ones(1), *(_chances(size, count) for size, count in enumerate(counts, start=1))]
    *others, longest = sorted(parts, key=len)
    chances = reduce(np.convolve, others, np.ones(1))
    above = np.append(np.cumsum(longest[::-1])[::-1], 0.0)
    missing = np.clip(least - np.arange(len(chances)), 0, len(longest))
    return min(1.0, 2 * float(np.sum(chances * above[missing])))


def _exact(a: Floats, b: Floats) -> float:
    """:func:`exact_sign_flip` of the differences of values [n]; NaN where they are no whole steps, or too many."""
    if (parts := whole_steps(np.stack([a, b]))) is None:
        return np.nan
    steps = (np.rint(a * parts) - np.rint(b * parts)).astype(np.int64)
    if np.abs(steps).sum() > MOST_STEPS:
        return np.nan
    return exact_sign_flip(np.bincount(np.abs(steps))[1:].tolist(), int(steps.sum()))


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
    """A - B with its 95 % interval or None, the p-value alone and Holm-corrected over its family, the test's name."""

    value: float
    interval: Interval | None
    p: float
    corrected: float
    test: str


def paired_differences(family: list[Pair]) -> list[Difference]:
    """Compare the two tables of every pair; p-values are corrected over the whole family (Holm 1979).

    One seed each: the interval is the studentised bootstrap of the differences and the test the sign flip, exact for
    shares of a few such as oracles; of values 0 and 1 Tango's interval and McNemar's exact test. Both hold for the
    seeds at hand. Several seeds, unless they all gave the same values: :func:`crossed_difference`, which holds for new
    seeds too. Columns: at least two. The interval is None where none is known to cover: of two seeds, of few queries,
    and where few of them differ.
    """
    found: list[tuple[Estimate, str]] = []
    for pair in family:
        a, b = without_equal_seeds(pair.a), without_equal_seeds(pair.b)
        value = float(a.mean() - b.mean())
        if pair.groups or len(a) > 1 or len(b) > 1:
            found.append((crossed_difference(a, b), "jackknife t" if pair.groups else "crossed t"))
        elif np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all():
            found.append((Estimate(value, paired_rate_difference(a[0], b[0]), mcnemar(a[0], b[0])), "McNemar"))
        else:
            found.append((Estimate(value, mean_of_differences(a[0] - b[0]), _exact(a[0], b[0])), "sign flip"))
    ps = np.array([estimate.p for estimate, _ in found])
    open_rows = np.flatnonzero(np.isnan(ps))
    if len(open_rows):
        stacked = np.zeros((max(family[row].a.shape[1] for row in open_rows), len(open_rows)))
        for column, row in enumerate(open_rows):
            stacked[: family[row].a.shape[1], column] = family[row].a[0] - family[row].b[0]
        ps[open_rows] = sign_flip(stacked, resamples=max(9_999, FLIPS * len(family) - 1))
    return [
        Difference(estimate.value, estimate.interval, float(p), float(adjusted), test)
        for (estimate, test), p, adjusted in zip(found, ps, holm(ps), strict=True)
    ]


def without_equal_seeds(table: Floats) -> Floats:
    """One row of a table whose rows are all the same: the method doesn't depend on its seed."""
    return table[:1] if (table == table[0]).all() else table
