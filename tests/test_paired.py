"""Paired differences and their tests against published values, closed forms, scipy and statsmodels, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from interval_coverage import (
    HIGH,
    LOW,
    MEANS,
    assert_covers,
    paired_mean_coverage,
    paired_rate_coverage,
    pairs_of,
    sign_flip_rejections,
)
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from scipy.stats import binom, binomtest, norm, permutation_test
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels

from cfbench.paired import (
    Pair,
    exact_sign_flip,
    mcnemar,
    mean_of_differences,
    paired_differences,
    paired_rate_difference,
    sign_flip,
    whole_steps,
)
from cfbench.stats import bootstrap_mean


def test_paired_rates_without_discordant_pairs() -> None:
    """Tango (1998): the score statistic of a difference d is then n d / (1 - d), so that d is z^2 / (n + z^2)."""
    z = norm.ppf(0.975)
    expected = z**2 / (50 + z**2)
    assert paired_rate_difference(np.ones(50), np.ones(50)) == pytest.approx((-expected, expected))


@pytest.mark.parametrize(("first", "second"), [(12, 3), (12, 4), (5, 0), (3, 0), (2, 9)])
def test_paired_rates_invert_the_score_test(first: int, second: int) -> None:
    """At a limit the statistic, its variance the likeliest, is the normal quantile; at 0 it is McNemar's."""
    n = 40
    a, b = pairs_of(n, first, second)
    low, high = paired_rate_difference(a, b)
    table = [[0, first], [second, n - first - second]]
    assert (low <= 0 <= high) == (mcnemar_of_statsmodels(table, exact=False, correction=False).pvalue >= 0.05)
    counts = [first, second, n - first - second]
    for limit in (low, high):
        found = minimize_scalar(
            lambda share, limit=limit: -xlogy(counts, [share + limit, share, 1 - 2 * share - limit]).sum(),
            bounds=(max(0.0, -limit), (1 - limit) / 2),
            method="bounded",
            options={"xatol": 1e-12},
        )
        variance = 2 * found.x + limit - limit**2
        assert abs(first - second - n * limit) / np.sqrt(n * variance) == pytest.approx(norm.ppf(0.975), rel=1e-4)


@pytest.mark.parametrize(("first", "second"), [((0.1, 0.3), (0.1, 0.3)), ((0.02, 0.1), (0.0, 0.02))])
def test_paired_rates_cover(first: tuple[float, float], second: tuple[float, float]) -> None:
    assert LOW < paired_rate_coverage(60, first, second, points=5) < HIGH


@pytest.mark.parametrize("name", MEANS)
def test_paired_means_cover(name: str) -> None:
    assert_covers(paired_mean_coverage(name, 300, 400).covers, 400)


def test_differences_of_few_queries_have_no_interval() -> None:
    few = np.zeros(100)
    few[:20] = np.arange(20) - 9.5
    assert mean_of_differences(few) is None
    assert mean_of_differences(np.abs(few)) == bootstrap_mean(np.abs(few))


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 100, 300])
@pytest.mark.parametrize("name", MEANS)
def test_paired_means_cover_in_full(name: str, n: int) -> None:
    found = paired_mean_coverage(name, n, 4000)
    if found.given > 0.01:
        assert_covers(found.covers, round(4000 * found.given))


@pytest.mark.parametrize("name", MEANS)
def test_sign_flip_keeps_its_level(name: str) -> None:
    assert sign_flip_rejections(name, 100, 400) <= binom.ppf(0.999, 400, 0.05) / 400


def test_sign_flip_against_every_flip_by_scipy() -> None:
    columns = np.random.default_rng(9).normal(0.25, 1.0, size=(12, 5))
    columns[:, 4] = np.round(columns[:, 4] * 3) / 3
    found = sign_flip(columns, resamples=200_000)
    for column, p in zip(columns.T, found, strict=True):
        exact = permutation_test(
            (column,), lambda x, axis: np.mean(x, axis=axis), permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert p == pytest.approx(exact, abs=4 * np.sqrt(exact / 100_000) + 1e-5)


def test_sign_flip_ignores_rows_of_zeros_and_finds_nothing_in_nothing() -> None:
    column = np.random.default_rng(10).normal(0.5, 1.0, size=(10, 1))
    padded = np.vstack([column, np.zeros((6, 1))])
    assert sign_flip(padded, resamples=100_000) == pytest.approx(sign_flip(column, resamples=100_000), abs=5e-3)
    assert sign_flip(np.zeros((10, 1))) == [1.0]


def test_mcnemar_is_the_exact_binomial_test_of_discordant_pairs() -> None:
    a, b = np.repeat([1.0, 0.0, 1.0, 0.0], [9, 2, 30, 20]), np.repeat([0.0, 1.0, 1.0, 0.0], [9, 2, 30, 20])
    assert mcnemar(a, b) == pytest.approx(binomtest(9, 11).pvalue)
    assert mcnemar(a, a) == 1


def test_each_kind_of_pair_gets_its_test() -> None:
    random = np.random.default_rng(11)
    real, rate, three = (
        random.normal(size=(2, 1, 120)),
        random.random((2, 1, 120)).round(),
        random.normal(size=(3, 120)),
    )
    family = [Pair(*real), Pair(*rate), Pair(three, real[0]), Pair(np.repeat(real[0], 3, axis=0), real[1])]
    found = paired_differences(family)
    assert [each.test for each in found] == ["sign flip", "McNemar", "crossed t", "sign flip"]
    assert found[0].interval == found[3].interval == bootstrap_mean(real[0, 0] - real[1, 0])
    assert found[1].p == mcnemar(rate[0, 0], rate[1, 0])
    assert paired_differences([]) == []


def test_a_large_family_can_still_show_a_difference() -> None:
    random = np.random.default_rng(12)
    clear = Pair(random.normal(3.0, 1.0, size=(1, 40)), np.zeros((1, 40)))
    nothing = [Pair(random.normal(size=(1, 40)), random.normal(size=(1, 40))) for _ in range(299)]
    assert paired_differences([clear, *nothing])[0].corrected <= 0.0101


def flipped_all_ways(differences: np.ndarray) -> float:
    """The p-value of scipy, which goes through every flip of so few differences."""
    test = permutation_test(
        (differences,), lambda x, axis: np.mean(x, axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    return float(test.pvalue)


@pytest.mark.parametrize("oracles", [1, 2, 3, 5])
def test_exact_sign_flip_is_every_flip_by_scipy(oracles: int) -> None:
    random = np.random.default_rng(oracles)
    for n in (2, 5, 10):
        a, b = random.integers(0, oracles + 1, size=(2, n))
        sizes = np.bincount(abs(a - b), minlength=oracles + 1)[1:].tolist()
        exact = flipped_all_ways((a - b) / oracles) if (a != b).any() else 1.0
        assert exact_sign_flip(sizes, int((a - b).sum())) == pytest.approx(exact, abs=1e-12)


def test_exact_sign_flip_of_one_size_is_mcnemars_test() -> None:
    for first, second in ((0, 0), (3, 0), (12, 4), (700, 300), (5000, 4600)):
        expected = mcnemar_of_statsmodels([[0, first], [second, 0]], exact=True).pvalue
        assert exact_sign_flip([first + second], first - second) == pytest.approx(expected)
        assert exact_sign_flip([0, first + second], 2 * (second - first)) == pytest.approx(expected)


def test_shares_of_oracles_are_compared_exactly() -> None:
    """Also where one column was stored in 32 bits, whose thirds are others."""
    random = np.random.default_rng(3)
    a, b = random.integers(0, 4, size=(2, 10)) / 3
    [found] = paired_differences([Pair(a[None], b[None].astype(np.float32).astype(np.float64))])
    assert found.test == "sign flip"
    assert found.p == pytest.approx(flipped_all_ways(a - b), abs=1e-12)
    far = [Pair(np.full((1, 1000), 2 / 3), random.integers(0, 2, (1, 1000)) / 3)]
    assert paired_differences(far)[0].p < 1e-200


def test_whole_steps() -> None:
    assert whole_steps(np.array([0.0, 1 / 3, 1.0])) == 3
    assert whole_steps(np.float32([0.2, 0.5]).astype(np.float64)) == 10
    assert whole_steps(np.array([0.0, 4.0])) == 1
    assert whole_steps(np.array([0.0, 1e-9])) is None
    assert whole_steps(np.array([1 / 13])) is None
