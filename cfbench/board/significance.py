"""All rows of a board against each other: Holm-corrected p-values, rank intervals, the Pareto front."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cfbench.errors import InvalidParameter
from cfbench.paired import exact_sign_flip, whole_steps, without_equal_seeds
from cfbench.stats import LEVEL, Floats, crossed_p, holm

Flags = NDArray[np.bool_]

CLEAR = 1e-12
"""p-values below which a pair is told apart whatever the correction: that over a million pairs leaves 1e-6."""


def corrected_p(tables: Sequence[Floats]) -> Floats:
    """Holm-corrected p-values ``[R, R]`` of the differences of all pairs of R tables ``[seeds, queries]``.

    The exact sign flip between rows of one seed, as of :func:`cfbench.paired.paired_differences`; between others
    crossed effects of seeds and queries by :func:`cfbench.stats.crossed_p`, so that a row does not lose by more seeds.

    Raises:
        InvalidParameter: values are no shares of a few parts.
    """
    rows = [without_equal_seeds(table) for table in tables]
    p = np.ones((len(rows), len(rows)))
    single = [index for index, table in enumerate(rows) if len(table) == 1]
    if single:
        p[np.ix_(single, single)] = _exact_p(np.stack([rows[index][0] for index in single]))
    pairs = list(itertools.combinations(range(len(rows)), 2))
    for a, b in pairs:
        if len(rows[a]) > 1 or len(rows[b]) > 1:
            p[a, b] = crossed_p(rows[a], rows[b])
    if pairs:
        first, second = np.array(pairs).T
        p[first, second] = p[second, first] = holm(p[first, second])
    return p


def _exact_p(values: Floats) -> Floats:
    """p-values of :func:`exact_sign_flip` between all rows of ``values`` [rows, queries], in the upper triangle.

    Rows so far apart that no correction matters get Hoeffding's bound (JASA 58, 1963), which the p-value is below.
    """
    if (parts := whole_steps(values)) is None:
        raise InvalidParameter("the headline of a board must be a share of a few, such as oracles, a query")
    steps = np.rint(values * parts).astype(np.int64)
    levels = np.arange(steps.min(), steps.max() + 1)
    is_at = (steps == levels[:, None, None]).astype(np.float64)
    sizes = np.zeros((len(levels), len(values), len(values)))
    for (low, at_low), (high, at_high) in itertools.product(enumerate(is_at), repeat=2):
        sizes[abs(high - low)] += at_low @ at_high.T
    a, b = np.triu_indices(len(values), k=1)
    counts = sizes[1:, a, b].T.astype(np.int64)
    totals = steps.sum(axis=1)[a] - steps.sum(axis=1)[b]
    squares = counts @ np.square(np.arange(1, len(levels)))
    found = 2 * np.exp(-np.square(totals) / np.maximum(2 * squares, 1))
    near = found > CLEAR
    found[near] = [exact_sign_flip(*pair) for pair in zip(counts[near].tolist(), totals[near].tolist(), strict=True)]
    p = np.ones((len(values), len(values)))
    p[a, b] = found
    return p


def better(means: Floats, p: Floats) -> Flags:
    """Whether row a is better than row b beyond chance, ``[R, R]``, of a metric of which more is better."""
    found: Flags = (means[:, None] > means[None, :]) & (p < 1 - LEVEL)
    return found


def rank_intervals(is_better: Flags) -> list[tuple[int, int]]:
    """Best and worst rank of each row: one more than are better beyond chance, and all that it is not better than."""
    lows = 1 + is_better.sum(axis=0)
    highs = len(is_better) - is_better.sum(axis=1)
    return [(int(low), int(high)) for low, high in zip(lows, highs, strict=True)]


def pareto_front(costs: Floats) -> Flags:
    """Which rows of ``costs`` [R, criteria], less being better, no other row matches everywhere and beats somewhere.

    A row with a blank (NaN) is not on the front, and no rival to others.
    """
    known = np.asarray(~np.isnan(costs).any(axis=1))
    no_worse = np.asarray(np.all(costs[:, None] <= costs[None, :], axis=2))
    beats = no_worse & np.any(costs[:, None] < costs[None, :], axis=2) & known[:, None]
    return np.asarray(known & ~np.any(beats, axis=0))
