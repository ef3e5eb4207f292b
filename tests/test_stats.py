"""Intervals and tests against published values, closed forms, scipy and statsmodels, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from interval_coverage import (
    EFFECTS,
    MEANS,
    assert_covers,
    bootstrap_limits,
    crossed_coverage,
    crossed_rejections,
    crossed_table,
    mean_coverage,
    wilson_coverage,
)
from scipy.stats import binom, binomtest, friedmanchisquare, norm, t, ttest_ind, ttest_rel
from statsmodels.stats.anova import AnovaRM

from cfbench.paired import (
    Pair,
    paired_differences,
)
from cfbench.stats import (
    average_ranks,
    bootstrap_mean,
    crossed_difference,
    crossed_p,
    friedman,
    least_rate,
    mean_interval,
    roc_auc,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718), (0, 20, 0.0, 0.1611)],
)
def test_wilson_agrees_with_newcombe_1998(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("n", [20, 100, 300])
def test_wilson_covers_on_average_over_rates(n: int) -> None:
    coverage = wilson_coverage(n, np.linspace(0.0005, 0.9995, 1000))
    assert 0.945 <= coverage.mean() <= 0.96
    assert coverage.min() > 0.82


def test_bootstrap_of_a_normal_mean_is_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=4000)
    half = 1.959964 * values.std() / np.sqrt(len(values))
    interval = bootstrap_mean(values)
    assert interval is not None
    assert interval == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_bootstrap_without_spread_or_without_enough_data() -> None:
    assert bootstrap_mean(np.full(50, 0.25)) == (0.25, 0.25)
    assert bootstrap_mean(np.arange(49.0)) is None


def test_simulated_intervals_are_those_of_the_bootstrap() -> None:
    samples = np.random.default_rng(14).exponential(size=(5, 60)).round(1)
    assert pytest.approx(np.array([bootstrap_mean(sample) for sample in samples])) == bootstrap_limits(samples).T


def test_bootstrap_of_few_distinct_values_stays_within_them() -> None:
    values = np.zeros(50)
    values[0] = 1.0
    low, high = bootstrap_mean(values) or (np.nan, np.nan)
    assert 0 <= low < values.mean() < high <= 1


@pytest.mark.parametrize(("n", "differing"), [(50, 1), (300, 2), (1000, 1), (1000, 2)])
def test_bootstrap_of_nearly_constant_values_is_about_as_wide_as_wilsons(n: int, differing: int) -> None:
    values = np.ones(n)
    values[:differing] = 0.0
    found, rate = bootstrap_mean(values) or (0.0, 1.0), wilson(n - differing, n)
    assert found[0] <= rate[0] < rate[1] <= found[1]
    assert found[1] - found[0] <= 3 * (rate[1] - rate[0])


def test_bootstrap_with_one_value_far_from_the_others_keeps_to_bernsteins_bound() -> None:
    """Maurer and Pontil (2009), theorem 4: sqrt(2 V ln(2 / d) / n) + 7 ln(2 / d) / (3 (n - 1)), d = .025 a side."""
    values = np.random.default_rng(15).uniform(0.9999, 1.0, size=1000)
    values[:2] = 0.0, 1.0
    log = np.log(2 / 0.025)
    bound = np.sqrt(2 * values.var(ddof=1) * log / 1000) + 7 * log / (3 * 999)
    assert bootstrap_mean(values) == pytest.approx((values.mean() - bound, 1.0))


def test_bootstrap_moves_and_scales_with_the_values() -> None:
    values = np.random.default_rng(3).exponential(size=200)
    low, high = bootstrap_mean(values) or (np.nan, np.nan)
    assert bootstrap_mean(1e6 + 10 * values) == pytest.approx((1e6 + 10 * low, 1e6 + 10 * high), rel=1e-12)


def test_bootstrap_of_more_values_than_a_block_holds() -> None:
    values = np.random.default_rng(4).normal(size=30_000)
    half = 1.959964 * values.std() / np.sqrt(len(values))
    assert bootstrap_mean(values) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


@pytest.mark.parametrize("name", MEANS)
def test_bootstrap_covers(name: str) -> None:
    assert_covers(mean_coverage(name, 100, 400), 400)


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 300, 1000])
@pytest.mark.parametrize("name", MEANS)
def test_bootstrap_covers_in_full(name: str, n: int) -> None:
    assert_covers(mean_coverage(name, n, 4000), 4000)


def test_crossed_difference_without_seeds_is_the_paired_t_test() -> None:
    a, b = np.random.default_rng(5).normal([[0.3], [0.0]], 1.0, size=(2, 40))
    expected = ttest_rel(a, b)
    found = crossed_difference(a[None], b[None])
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p == pytest.approx(expected.pvalue)


def test_crossed_difference_where_only_seeds_vary_is_welchs_t_test() -> None:
    random = np.random.default_rng(6)
    a, b = np.repeat(random.normal(size=(3, 1)), 50, axis=1), np.repeat(random.normal(1, 3, size=(4, 1)), 50, axis=1)
    expected = ttest_ind(a[:, 0], b[:, 0], equal_var=False)
    found = crossed_difference(a, b)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p == pytest.approx(expected.pvalue)


def test_crossed_interval_from_the_mean_squares_of_statsmodels() -> None:
    import pandas as pd

    seeds, queries = 6, 30
    table = crossed_table(np.random.default_rng(7), seeds, queries, "queries and interaction", 0.4)
    long = pd.DataFrame(
        {"y": table.ravel(), "seed": np.repeat(np.arange(seeds), queries), "q": np.tile(np.arange(queries), seeds)}
    )
    ratios = [
        float(AnovaRM(long, "y", subject, within=[factor]).fit().anova_table["F Value"].iloc[0])
        for subject, factor in (("q", "seed"), ("seed", "q"))
    ]
    total = np.square(table - table.mean()).sum()
    degrees = (seeds - 1, queries - 1, (seeds - 1) * (queries - 1))
    error = total / (ratios[0] * degrees[0] + ratios[1] * degrees[1] + degrees[2])
    squares = (ratios[0] * error, ratios[1] * error, error)
    assert squares[1] > squares[2]
    combined = squares[0] + squares[1] - squares[2]
    freedom = max(combined**2 / sum(square**2 / df for square, df in zip(squares, degrees, strict=True)), seeds - 1)
    margins = [
        t.ppf(0.975, df) * np.sqrt(square / table.size) for square, df in ((combined, freedom), (squares[0], seeds - 1))
    ]
    expected = (table.mean() - max(margins), table.mean() + max(margins))
    assert mean_interval(table) == pytest.approx(expected)


def test_mean_interval_of_one_seed_is_the_bootstrap() -> None:
    values = np.random.default_rng(8).exponential(size=(1, 60))
    assert mean_interval(values) == bootstrap_mean(values[0])
    assert mean_interval(values[:, :1]) is None


def test_two_seeds_have_a_test_but_no_interval() -> None:
    """Welch's test of the seed means, as only these vary."""
    random = np.random.default_rng(15)
    a, b = (np.repeat(random.normal(size=(seeds, 1)), 50, axis=1) for seeds in (2, 3))
    found = crossed_difference(a, b)
    assert found.interval is None
    assert mean_interval(a) is None
    assert found.p >= ttest_ind(a[:, 0], b[:, 0], equal_var=False).pvalue


def test_seeds_that_vary_with_the_query_alone_have_welchs_interval() -> None:
    """All is interaction, queries add nothing: the seed means' own scatter says it all."""
    values = np.random.default_rng(16).normal(size=(4, 40))
    values -= values.mean(axis=0)
    values += np.random.default_rng(17).normal(size=(4, 1))
    means = values.mean(axis=1)
    assert mean_interval(values) == pytest.approx(t.interval(0.95, 3, means.mean(), means.std(ddof=1) / 2))


def test_least_rate_of_one_or_two_or_where_others_are_far_is_wilsons() -> None:
    for counts in ([30], [30, 31], [30, 90, 95]):
        assert least_rate(counts, 100) == pytest.approx(wilson(30, 100))
    low, high = least_rate([30, 30, 31], 100)
    expected = [binomtest(30, 100).proportion_ci(1 - 2 * tail, "wilson") for tail in (0.05 * 2 / 3, 0.05 / 3)]
    assert (low, high) == pytest.approx((expected[0].low, expected[1].high))


@pytest.mark.parametrize("two", [False, True], ids=["mean", "difference"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("kind", EFFECTS)
def test_crossed_interval_of_three_seeds_covers(kind: str, share: float, two: bool) -> None:
    assert_covers(crossed_coverage(3, kind, share, 250, two=two), 250)


@pytest.mark.slow
@pytest.mark.parametrize("two", [False, True], ids=["mean", "difference"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("kind", EFFECTS)
@pytest.mark.parametrize("seeds", [3, 5])
def test_crossed_interval_covers_in_full(seeds: int, kind: str, share: float, two: bool) -> None:
    assert_covers(crossed_coverage(seeds, kind, share, 5000, two=two), 5000)


def test_crossed_test_keeps_its_level_where_the_sign_flip_does_not() -> None:
    crossed, flipped = crossed_rejections(3, "queries", 0.5, 500)
    assert crossed <= binom.ppf(0.999, 500, 0.07) / 500
    assert flipped > 0.1


def test_crossed_p_is_welchs_where_only_seeds_vary_and_the_paired_t_tests_where_only_queries_do() -> None:
    random = np.random.default_rng(18)
    seeds = [np.repeat(random.normal(shift, size=(3, 1)), 50, axis=1) for shift in (0, 2)]
    assert crossed_p(*seeds) == pytest.approx(ttest_ind(seeds[0][:, 0], seeds[1][:, 0], equal_var=False).pvalue)
    queries = [np.repeat(random.normal(shift, size=(1, 50)), 3, axis=0) for shift in (0.0, 0.3)]
    assert crossed_p(*queries) == pytest.approx(ttest_rel(queries[0][0], queries[1][0]).pvalue)


@pytest.mark.parametrize(("kind", "share", "most"), [*((kind, 0.0, 0.05) for kind in EFFECTS), ("queries", 0.9, 0.08)])
def test_crossed_p_keeps_its_level_where_each_query_draws_its_own(kind: str, share: float, most: float) -> None:
    random, runs = np.random.default_rng(19), 500
    zeros = np.zeros((1, 200))
    rejected = sum(crossed_p(crossed_table(random, 3, 200, kind, share), zeros) < 0.05 for _ in range(runs))
    assert rejected <= binom.ppf(0.999, runs, most)


def test_holm_on_demsars_example() -> None:
    """Demsar 2006, section 3.2.2: z = 2.416, 2.342, .512 give p = .016, .019, .607; Holm rejects the first two."""
    ps = 2 * norm.sf([2.416, 2.342, 0.512])
    assert ps == pytest.approx([0.016, 0.019, 0.607], abs=2e-3)
    family = []
    for p in ps:
        difference = np.array([-1.0, 1.0]) * np.sqrt(29) + np.zeros((15, 1))
        difference = difference.ravel() / difference.std(ddof=1)
        shift = t.isf(p / 2, 29) / np.sqrt(30)
        family.append(Pair((difference + shift)[None], np.zeros((1, 30)), groups=True))
    found = paired_differences(family)
    assert [each.p for each in found] == pytest.approx(ps)
    assert [each.corrected for each in found] == pytest.approx([3 * ps[0], 3 * ps[0], ps[2]])
    assert [each.corrected < 0.05 for each in found] == [True, True, False]


def test_friedman_and_nemenyi_on_demsars_ranks() -> None:
    found = friedman(np.array([3.143, 2.000, 2.893, 1.964]), 14)
    assert (found.chi2, found.f, found.critical_difference) == pytest.approx((9.28, 3.69, 1.25), abs=5e-3)
    assert found.p == pytest.approx(0.0195, abs=5e-4)


def test_friedman_agrees_with_scipy_without_ties() -> None:
    scores = np.random.default_rng(13).normal(size=(20, 5)) + np.arange(5) / 2
    ranks = average_ranks(scores, higher_is_better=True)
    assert ranks.argmin() == 4
    assert friedman(ranks, 20).chi2 == pytest.approx(friedmanchisquare(*scores.T).statistic)
    assert average_ranks(scores, higher_is_better=False) == pytest.approx(6 - ranks)


def test_roc_auc_counts_ordered_pairs() -> None:
    random = np.random.default_rng(3)
    scores, positive = random.integers(0, 20, 80).astype(float), random.random(80) < 0.3
    above = scores[positive][:, None] - scores[~positive]
    assert roc_auc(scores, positive) == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())
    assert roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])) == 0.75
