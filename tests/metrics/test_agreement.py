"""Oracle metrics by hand on stub oracles; label variation against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from judged import Lookup, batch_of, judges_of, member, numbered, scores_of, values_of
from scipy.spatial.distance import jensenshannon

from cfbench.batch import Batch
from cfbench.metrics.agreement import (
    LabelVariation,
    OracleAgreedFlip,
    OracleAgreement,
    OracleAgreementMin,
    jensen_shannon,
)
from cfbench.stats import least_rate

ZERO, ONE, TWO = [2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0]


@pytest.fixture
def batch() -> Batch:
    """Five queries asked to become 1; what the classifier and three oracles see, the last query failed.

    ===========  ==  ==  ==  ==  ==============
    classifier    1   1   2   1  1 (but failed)
    oracle-1      1   0   1   1  1
    oracle-2      1   0   1   2  1
    oracle-3      1   0   0   0  1
    ===========  ==  ==  ==  ==  ==============
    """
    judges = judges_of(
        member("classifier", Lookup([ZERO, ONE, ONE, TWO, ONE])),
        member("oracle-1", Lookup([ZERO, ONE, ZERO, ONE, ONE])),
        member("oracle-2", Lookup([ZERO, ONE, ZERO, ONE, TWO])),
        member("oracle-3", Lookup([ZERO, ONE, ZERO, ZERO, ZERO])),
    )
    return batch_of(judges, numbered([0] * 5), numbered([1, 2, 3, 4, 1]), failed=[4])


def test_agreement_counts_every_query_and_oracle(batch: Batch) -> None:
    expected = [1, 0, 2 / 3, 1 / 3, 0]
    np.testing.assert_allclose(values_of(OracleAgreement, batch), expected)
    score = scores_of(OracleAgreement, batch)["all"]
    assert score.value == pytest.approx(2 / 5)
    assert (score.n, score.ci95, score.reason) == (
        5,
        None,
        "no interval: that of a mean needs at least 50 queries, has 5",
    )
    assert score.network == "oracle-1@stub oracle-2@stub oracle-3@stub"


def test_agreed_flips_need_the_classifier_too(batch: Batch) -> None:
    np.testing.assert_allclose(values_of(OracleAgreedFlip, batch), [1, 0, 0, 1 / 3, 0])
    assert scores_of(OracleAgreedFlip, batch)["all"].value == pytest.approx(4 / 15)


def test_the_minimum_is_the_least_agreeing_oracles(batch: Batch) -> None:
    score = scores_of(OracleAgreementMin, batch)["all"]
    assert (score.value, score.n, score.ci95, score.network) == (1 / 5, 5, least_rate([3, 2, 1], 5), "oracle-3@stub")


def test_label_variation_is_scipys_squared_distance_over_the_oracles(batch: Batch) -> None:
    softmax = [np.exp(row) / np.exp(row).sum() for row in (ZERO, ONE, TWO)]
    seen = ((1, 0, 1, 1, 1), (1, 0, 1, 2, 1), (1, 0, 0, 0, 1))
    expected = np.mean([[jensenshannon(softmax[0], softmax[to]) ** 2 for to in row] for row in seen], axis=0)
    np.testing.assert_allclose(values_of(LabelVariation, batch), expected, atol=1e-15)


def test_jensen_shannon_on_random_certain_and_equal_distributions() -> None:
    random = np.random.default_rng(0)
    first, second = random.dirichlet([0.3] * 7, size=(2, 50))
    expected = [jensenshannon(a, b) ** 2 for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(jensen_shannon(torch.tensor(first), torch.tensor(second)), expected, rtol=1e-9)
    certain = torch.eye(2, dtype=torch.float64)
    assert jensen_shannon(certain, certain.flip(0)).tolist() == pytest.approx([math.log(2)] * 2)
    assert jensen_shannon(certain, certain).tolist() == [0, 0]
