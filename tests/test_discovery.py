"""Clever-Hans discovery against hand-made values and an AUROC counted pair by pair."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cfbench.discovery import clever_hans
from cfbench.errors import InvalidParameter


def test_by_hand() -> None:
    """Of six pairs, confounded (.8, .3) against clean (.1, .3, .5): four won, one tied."""
    found = clever_hans([0.8, 0.1, 0.3, 0.3, 0.5], [0.9, 0.0, 0.6, 0.0, 0.0], [True, False, True, False, False])
    assert found.error == pytest.approx((0.1 + 0.1 + 0.3 + 0.3 + 0.5) / 5)
    assert found.auroc == pytest.approx(4.5 / 6)


def test_auroc_is_the_share_of_pairs_in_the_right_order() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        rates = random.integers(0, 6, size=15) / 5
        confounded = np.append(random.random(13) < 0.5, [True, False])
        pairs = list(itertools.product(rates[confounded], rates[~confounded]))
        expected = np.mean([(a > b) + (a == b) / 2 for a, b in pairs])
        assert clever_hans(rates, rates, confounded).auroc == pytest.approx(expected)
        assert clever_hans(rates, rates, confounded).error == 0


def test_needs_both_kinds_and_equal_lengths() -> None:
    for confounded in ([True, True], [False, False]):
        with pytest.raises(InvalidParameter, match="all given are of one kind"):
            clever_hans([0.1, 0.2], [0.1, 0.2], confounded)
    with pytest.raises(InvalidParameter, match="got 2 rates, 1 reliances and 2 labels"):
        clever_hans([0.1, 0.2], [0.1], [True, False])
