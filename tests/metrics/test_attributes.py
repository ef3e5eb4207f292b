"""Attribute metrics by hand and against numpy and scipy, on stub attribute oracles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from judged import Lookup, batch_of, judges_of, member, numbered, scores_of, values_of
from scipy.spatial.distance import jensenshannon

from cfbench.batch import Batch
from cfbench.collector import groups_of
from cfbench.distances.intervals import plain_jackknife
from cfbench.metrics.attributes import MNAC, CorrelationDifference, OtherVariation, correlations

ATTRIBUTES = ("smiling", "young", "hat")


def logit(chances: object) -> np.ndarray:
    values = np.asarray(chances)
    return np.log(values / (1 - values))


def batch_with(tables: list[np.ndarray], queries: list[int], made: list[int]) -> Batch:
    """Attribute oracles that give the chances in a table's row to images of that number."""
    oracles = [member(f"attribute-oracle-{i}", Lookup(logit(table).tolist())) for i, table in enumerate(tables)]
    judges = judges_of(*oracles, attributes=ATTRIBUTES, target_attributes=("young",))
    return batch_of(judges, numbered(queries), numbered(made), given=[1] * len(made))


FIRST = np.array([[0.1, 0.2, 0.9], [0.1, 0.8, 0.9], [0.7, 0.9, 0.3]])
SECOND = np.array([[0.1, 0.2, 0.9], [0.6, 0.7, 0.9], [0.7, 0.1, 0.3]])


def test_attributes_changed_are_counted_by_each_oracle() -> None:
    """From row 0 to 1: young, and smiling for the second; to 2: all, and without young for the second; to 0: none."""
    batch = batch_with([FIRST, SECOND], [0, 0, 0], [1, 2, 0])
    assert values_of(MNAC, batch).tolist() == [1.5, 2.5, 0]


def test_other_variation_is_scipys_over_the_attributes_not_asked_for() -> None:
    batch = batch_with([FIRST, SECOND], [0, 0], [1, 2])
    expected = [
        np.mean(
            [
                jensenshannon([table[0, a], 1 - table[0, a]], [table[row, a], 1 - table[row, a]]) ** 2
                for table in (FIRST, SECOND)
                for a in (0, 2)
            ]
        )
        for row in (1, 2)
    ]
    np.testing.assert_allclose(values_of(OtherVariation, batch), expected, rtol=1e-6)


def test_an_oracle_without_an_answer_leaves_the_query_undefined() -> None:
    broken = FIRST.copy()
    broken[1, 2] = math.nan
    batch = batch_with([broken, SECOND], [0, 0], [1, 2])
    for kind in (MNAC, OtherVariation):
        assert values_of(kind, batch).isnan().tolist() == [True, False]


def random_chances(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    shared = random.uniform(size=(count, 1))
    return 0.05 + 0.9 * (0.5 * random.uniform(size=(count, 3)) + 0.5 * shared)


def test_correlation_difference_is_numpys_corrcoef() -> None:
    """240 images: the first half are queries, the second their counterfactuals."""
    n = 120
    chances = random_chances(2 * n)
    chances[n:, 0] = chances[:n, 0] + chances[:n, 1] - chances[n:, 1]
    chances[n:, 2] = chances[n:, 1]
    chances = chances.clip(0.01, 0.99)
    score = scores_of(CorrelationDifference, batch_with([chances], list(range(n)), list(range(n, 2 * n))))["all"]
    before, changes = chances[:n], chances[n:] - chances[:n]

    def difference(left_out: tuple[int, ...] = ()) -> float:
        kept = ~np.isin(groups_of(np.arange(n)), left_out)
        data, moved = (np.corrcoef(part[kept], rowvar=False)[:, 1] for part in (before, changes))
        return float(np.abs(data - moved).sum())

    assert score.value == pytest.approx(difference(), rel=1e-4)
    assert score.corrected is None
    assert score.ci95 == pytest.approx(plain_jackknife(difference).interval, rel=1e-3)


def test_attributes_that_never_change_count_with_no_correlation() -> None:
    chances = random_chances(110)
    score = scores_of(CorrelationDifference, batch_with([chances], list(range(110)), list(range(110))))["all"]
    expected = np.abs(np.corrcoef(chances, rowvar=False)[:, 1]).sum()
    assert score.value == pytest.approx(expected, rel=1e-4)


def test_correlations_of_columns() -> None:
    values = np.random.default_rng(1).normal(size=(30, 4)) + 100
    np.testing.assert_allclose(correlations(values, 2), np.corrcoef(values, rowvar=False)[2], rtol=1e-9)
    values[:, 0] = 7
    assert correlations(values, 2)[0] == 0


def test_too_few_queries_and_missing_answers_leave_it_blank() -> None:
    few = scores_of(CorrelationDifference, batch_with([FIRST], [0] * 99, [1] * 99))["all"]
    assert (few.value, few.n, few.reason) == (None, 99, "needs at least 100 queries, has 99")
    broken = FIRST.copy()
    broken[1] = math.nan
    assert scores_of(CorrelationDifference, batch_with([broken], [0] * 100, [1] * 100))["all"].reason == (
        "an attribute oracle gives NaN"
    )


def test_without_attribute_oracles_they_are_blank() -> None:
    for kind in (MNAC, OtherVariation, CorrelationDifference):
        assert kind(judges_of()).blocked() == "there is no network of role attribute-oracle"
