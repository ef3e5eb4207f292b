"""Intervals against published values, closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from cfbench.stats import bootstrap_mean, jackknife_interval, roc_auc, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718), (0, 20, 0.0, 0.1611)],
)
def test_wilson_agrees_with_newcombe_1998(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_bootstrap_of_a_normal_mean_is_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=4000)
    half = 1.959964 * values.std() / np.sqrt(len(values))
    interval = bootstrap_mean(values)
    assert interval is not None
    assert interval == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_bootstrap_without_spread_or_without_data() -> None:
    assert bootstrap_mean(np.full(10, 0.25)) == (0.25, 0.25)
    assert bootstrap_mean(np.array([1.0])) is None


def test_jackknife_of_a_mean_is_the_students_interval_over_groups() -> None:
    groups = np.random.default_rng(1).normal(size=(20, 30))
    means = groups.mean(axis=1)

    def leave_out(group: int) -> float:
        return float(np.delete(groups, group, axis=0).mean())

    half = t.ppf(0.975, 19) * means.std(ddof=1) / np.sqrt(20)
    assert jackknife_interval(means.mean(), leave_out, 20) == pytest.approx((means.mean() - half, means.mean() + half))


def test_roc_auc_counts_ordered_pairs() -> None:
    random = np.random.default_rng(3)
    scores, positive = random.integers(0, 20, 80).astype(float), random.random(80) < 0.3
    above = scores[positive][:, None] - scores[~positive]
    assert roc_auc(scores, positive) == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())
    assert roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])) == 0.75
