"""Validity by hand: what a stub classifier says of chosen images, failures in every denominator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from judged import Lookup, batch_of, judges_of, member, numbered, scores_of, values_of

from cfbench.batch import Batch
from cfbench.metrics.base import Metric
from cfbench.metrics.validity import (
    BoundedKL,
    ConfidenceGain,
    FlipRate,
    NonAdversarialRate,
    TargetConfidence,
    UntargetedFlipRate,
)
from cfbench.stats import wilson

LOGITS = [
    [3.0, 0.0, 0.0],
    [0.0, 2.0, 0.0],
    [0.0, 0.0, 5.0],
    [1.0, 1.5, 0.0],
    [math.nan, math.nan, math.nan],
]
"""Classes 0, 1, 2, 1 and none, by the level of the first pixel."""


@pytest.fixture
def batch() -> Batch:
    """Six queries of class 0 asked to become 1: two flips, one to class 2, one unmoved, one failed, one all NaN."""
    judges = judges_of(member("classifier", Lookup(LOGITS)), member("distilled", Lookup([LOGITS[0], *LOGITS[1:3] * 2])))
    return batch_of(judges, numbered([0] * 6), numbered([1, 3, 2, 0, 1, 4]), failed=[4])


def chance(row: int, label: int) -> float:
    return float(np.exp(LOGITS[row][label]) / np.exp(LOGITS[row]).sum())


@pytest.mark.parametrize(("kind", "successes"), [(FlipRate, 2), (UntargetedFlipRate, 3)])
def test_rates_are_over_all_queries(kind: type[Metric], successes: int, batch: Batch) -> None:
    score = scores_of(kind, batch)["all"]
    assert (score.value, score.n) == (successes / 6, 6)
    assert score.ci95 == wilson(successes, 6)
    assert list(scores_of(kind, batch)) == ["all"]


def test_confidences_by_hand(batch: Batch) -> None:
    """A failed query has confidence 0, gain 0 and divergence 1; where the network gives NaN nothing is defined."""
    made = [chance(1, 1), chance(3, 1), chance(2, 1), chance(0, 1), 0.0, math.nan]
    before = chance(0, 1)
    np.testing.assert_allclose(values_of(TargetConfidence, batch), made, rtol=1e-12)
    gains = [value - before for value in made[:4]] + [0.0, math.nan]
    np.testing.assert_allclose(values_of(ConfidenceGain, batch), gains, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(values_of(BoundedKL, batch), 1 - np.array(made), rtol=1e-12)
    score = scores_of(TargetConfidence, batch)["all"]
    assert score.value == pytest.approx(sum(made[:5]) / 5)
    assert score.n == 5


def test_the_non_adversarial_rate_is_over_the_flips(batch: Batch) -> None:
    """The copy sees class 1 in image 1 and class 1 again in image 3."""
    assert scores_of(NonAdversarialRate, batch)["flipped"].model_dump(include={"value", "n"}) == {"value": 1.0, "n": 2}
    other = judges_of(member("classifier", Lookup(LOGITS)), member("distilled", Lookup([LOGITS[0]] * 3 + [LOGITS[1]])))
    again = batch_of(other, numbered([0] * 4), numbered([1, 3, 2, 3]), failed=[3])
    score = scores_of(NonAdversarialRate, again)["flipped"]
    assert (score.value, score.n, score.ci95) == (0.5, 2, wilson(1, 2))
    assert score.network == "classifier@stub distilled@stub"


def test_without_flips_a_rate_of_flips_is_blank(batch: Batch) -> None:
    score = scores_of(NonAdversarialRate, batch_of(batch.judges, numbered([0, 0]), numbered([0, 2])))["flipped"]
    assert (score.value, score.n, score.reason) == (None, 0, "no query was flipped")


def test_given_predictions_take_the_place_of_a_classifier() -> None:
    judges = judges_of(verdicts="published predictions")
    batch = batch_of(judges, numbered([0] * 4), numbered([1] * 4), given=[1, 0, -1, 1], failed=[3])
    assert scores_of(FlipRate, batch)["all"].value == 1 / 4
    assert scores_of(UntargetedFlipRate, batch)["all"].value == 1 / 4
    assert scores_of(FlipRate, batch)["all"].network == "published predictions"
    assert TargetConfidence(judges).blocked() == "there is no network of role classifier"


def test_scores_do_not_depend_on_how_queries_are_cut_into_batches(batch: Batch) -> None:
    metric = TargetConfidence(batch.judges)
    columns = []
    for at in range(6):
        part = slice(at, at + 1)
        alone = batch_of(batch.judges, batch.stored_queries[part], batch.stored[part], failed=[0] * (at == 4))
        columns.append(metric.update(alone)["target_confidence"])
    assert metric.compute() == scores_of(TargetConfidence, batch)
    assert torch.equal(torch.cat(columns).isnan(), torch.tensor([False] * 5 + [True]))
