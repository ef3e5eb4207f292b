"""Ranks from paired tests: every flip by enumeration, statsmodels, and ranks and fronts by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from cfbench.board.significance import better, corrected_p, pareto_front, rank_intervals
from cfbench.errors import InvalidParameter
from cfbench.paired import Pair, paired_differences
from cfbench.stats import crossed_p


def enumerated(a: np.ndarray, b: np.ndarray) -> float:
    """The two-sided p-value over all sign flips of the differences."""
    differences = a - b
    signs = np.array(list(itertools.product((-1, 1), repeat=len(differences))))
    sums = signs @ differences
    return min(1.0, 2 * float(np.mean(sums >= abs(differences.sum()) - 1e-9)))


def test_all_pairs_by_enumeration() -> None:
    rows = np.random.default_rng(1).integers(0, 4, size=(5, 9)) / 3
    pairs = list(itertools.combinations(range(5), 2))
    expected = multipletests([enumerated(rows[a], rows[b]) for a, b in pairs], method="holm")[1]
    found = corrected_p([row[None] for row in rows])
    np.testing.assert_allclose([found[a, b] for a, b in pairs], expected, atol=1e-12)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 1)


def test_one_oracle_by_mcnemars_test_and_hand() -> None:
    """Eight queries that only a wins: 2 / 2^8. Against c, 7 won and 1 lost: 2 (1 + 8) / 2^8. b and c: 1 against 0."""
    a, b = np.ones(8), np.zeros(8)
    c = np.array([1.0, *np.zeros(7)])
    found = corrected_p([row[None] for row in (a, b, c)])
    assert found[0, 1] == pytest.approx(3 * 2 / 256)
    assert found[0, 2] == pytest.approx(2 * 2 / 128)
    assert found[1, 2] == 1
    exact = mcnemar([[1, 7], [0, 0]], exact=True).pvalue
    assert found[0, 2] == pytest.approx(2 * exact)


def test_several_seeds_are_crossed_with_queries_and_equal_seeds_count_as_one() -> None:
    random = np.random.default_rng(2)
    one, several = random.integers(0, 4, (1, 200)) / 3, random.integers(1, 4, (3, 200)) / 3
    same = np.repeat(one, 3, axis=0)
    found = corrected_p([one, several])
    assert found[0, 1] == pytest.approx(crossed_p(one, several))
    np.testing.assert_array_equal(corrected_p([same, several]), found)


def test_three_seeds_tell_apart_what_one_does() -> None:
    """Fifty rows, of which the first is better by a tenth; each finds other queries hard."""
    random = np.random.default_rng(7)
    chances = [random.beta(0.9, 0.1, size=1000), *(random.beta(0.8, 0.2, size=1000) for _ in range(49))]
    tables = [random.binomial(3, each, size=(3, 1000)) / 3 for each in chances]
    for shown in (tables, [table[:1] for table in tables]):
        assert (corrected_p(shown)[0, 1:] < 0.05).all()


def test_the_same_as_a_comparison() -> None:
    random = np.random.default_rng(3)
    rates = (0.2, 0.25, 0.3, 0.9)
    tables = [random.binomial(3, rate, (1, 150)) / 3 for rate in rates]
    pairs = list(itertools.combinations(range(len(rates)), 2))
    expected = [each.corrected for each in paired_differences([Pair(tables[a], tables[b]) for a, b in pairs])]
    found = corrected_p(tables)
    np.testing.assert_allclose([found[a, b] for a, b in pairs], expected, rtol=1e-9, atol=1e-9)
    assert 1e-3 < expected[1] < 0.05, "neither clear nor nothing"


def test_rows_far_apart_are_bounded_from_above() -> None:
    random = np.random.default_rng(5)
    tables = [random.binomial(3, rate, (1, 1000)) / 3 for rate in (0.1, 0.4, 0.9)]
    exact = [each.p for each in paired_differences([Pair(a, b) for a, b in itertools.combinations(tables, 2)])]
    found = corrected_p(tables)[np.triu_indices(3, k=1)]
    assert all(each <= bound < 1e-11 for each, bound in zip(exact, found, strict=True))


@pytest.mark.parametrize("tables", [[], [np.ones((1, 4))]])
def test_nothing_to_compare(tables: list[np.ndarray]) -> None:
    assert corrected_p(tables).shape == (len(tables), len(tables))


def test_values_that_are_no_shares_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="share of a few"):
        corrected_p([np.random.default_rng(0).random((1, 9)) for _ in range(2)])


def test_rank_intervals_by_hand() -> None:
    """A beats C and D, B beats D: A 1 to 2, B 1 to 3, C 2 to 4, D 3 to 4."""
    is_better = np.zeros((4, 4), dtype=bool)
    is_better[0, [2, 3]] = is_better[1, 3] = True
    assert rank_intervals(is_better) == [(1, 2), (1, 3), (2, 4), (3, 4)]
    assert rank_intervals(np.zeros((0, 0), dtype=bool)) == []
    assert rank_intervals(np.zeros((3, 3), dtype=bool)) == [(1, 3)] * 3


def test_better_needs_both_a_higher_mean_and_a_small_p() -> None:
    p = np.array([[1.0, 0.01, 0.2], [0.01, 1.0, 0.049], [0.2, 0.049, 1.0]])
    expected = [[False, True, False], [False, False, False], [False, True, False]]
    np.testing.assert_array_equal(better(np.array([0.9, 0.1, 0.5]), p), expected)


def test_pareto_front_by_brute_force() -> None:
    random = np.random.default_rng(4)
    for criteria in (1, 2, 4):
        costs = random.integers(0, 5, size=(40, criteria)).astype(float)
        costs[random.random(costs.shape) < 0.05] = np.nan
        found = pareto_front(costs)
        for row, on_front in zip(costs, found, strict=True):
            rivals = [other for other in costs if not np.isnan(other).any()]
            beaten = any((other <= row).all() and (other < row).any() for other in rivals)
            assert on_front == (not np.isnan(row).any() and not beaten)
        assert found.any()


def test_pareto_front_of_nothing() -> None:
    assert pareto_front(np.empty((0, 3))).tolist() == []
    assert pareto_front(np.array([[1.0], [1.0], [2.0]])).tolist() == [True, True, False], "equals share the front"
