"""Intervals: Wilson for rates, bootstrap for means, delete-group jackknife for set statistics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
Floats = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 2000


def wilson(successes: int, n: int) -> Interval:
    """95 % Wilson score interval of a rate of ``successes`` in ``n`` trials (n >= 1)."""
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(confidence_level=LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_mean(values: Floats, *, seed: int = 0) -> Interval | None:
    """95 % percentile bootstrap interval of the mean of ``values`` [n]; None below two values."""
    from scipy.stats import bootstrap

    if len(values) < 2:
        return None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    result = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=100,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def jackknife_interval(value: float, leave_out: Callable[[int], float], groups: int) -> Interval:
    """95 % interval ``value +- t * SE`` with the delete-group jackknife standard error.

    Args:
        value: the statistic on everything.
        leave_out: the statistic without group g, for g in 0 .. groups - 1.
        groups: number of groups K; t is Student's quantile with K - 1 degrees of freedom.
    """
    from scipy.stats import t

    estimates = np.array([leave_out(group) for group in range(groups)])
    error = float(np.sqrt((groups - 1) / groups * np.square(estimates - estimates.mean()).sum()))
    margin = float(t.ppf((1 + LEVEL) / 2, groups - 1)) * error
    return value - margin, value + margin


def roc_auc(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting half (Mann-Whitney)."""
    from scipy.stats import rankdata

    count = int(positive.sum())
    ranks = float(rankdata(scores)[positive].sum())
    return (ranks - count * (count + 1) / 2) / (count * (len(positive) - count))
