"""Precision, recall, density and coverage against hand-made cases, brute force and expectations."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from cfbench.distances import neighbours as module
from cfbench.distances.frechet import Floats
from cfbench.distances.neighbours import Comparison, Neighbourhoods, neighbourhoods
from cfbench.errors import InvalidParameter


def brute_force(made: Floats, real: Floats, k: int) -> Neighbourhoods:
    def distance(a: Floats, b: Floats) -> float:
        return float(np.linalg.norm(a - b))

    def radius(vectors: Floats, i: int) -> float:
        return sorted(distance(vectors[i], other) for j, other in enumerate(vectors) if j != i)[k - 1]

    reach_made = [radius(made, i) for i in range(len(made))]
    reach_real = [radius(real, i) for i in range(len(real))]
    between = [[distance(m, r) for r in real] for m in made]
    rows, columns = range(len(made)), range(len(real))
    return Neighbourhoods(
        precision=np.mean([any(between[i][j] <= reach_real[j] for j in columns) for i in rows]),
        recall=np.mean([any(between[i][j] <= reach_made[i] for i in rows) for j in columns]),
        density=sum(between[i][j] < reach_real[j] for i in rows for j in columns) / (k * len(made)),
        coverage=np.mean([any(between[i][j] < reach_real[j] for i in rows) for j in columns]),
    )


@pytest.mark.parametrize("block", [7, 1024])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_brute_force(k: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    random = np.random.default_rng(k)
    made, real = random.normal(size=(40, 3)) * 1.2 + 1000, random.normal(size=(55, 3)) + 1000
    found, expected = (astuple(how(made, real, k))[:4] for how in (neighbourhoods, brute_force))
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_ties_and_duplicates_on_a_grid(k: int) -> None:
    """Integers on a line: distances, and so ties, are exact in the brute force."""
    random = np.random.default_rng(k)
    made, real = random.integers(0, 25, size=(30, 1)) * 1.0, random.integers(0, 25, size=(40, 1)) * 1.0
    found, expected = (astuple(how(made, real, k))[:4] for how in (neighbourhoods, brute_force))
    assert found == pytest.approx(expected, abs=1e-12)


def test_points_on_a_line_by_hand() -> None:
    """Real 0, 1, 2, 10 (radii 1, 1, 1, 8 for k = 1) and made 0.5, 2.5, 3, 30 (radii 2, .5, .5, 27).

    Real balls hold .5 (twice), 2.5 (twice: of 2 and of 10), 3 (of 10, and of 2 on its edge); none holds 30. Made balls
    hold 0, 1, 2 and, from 30 with radius 27, 10.
    """
    real, made = np.array([[0.0], [1], [2], [10]]), np.array([[0.5], [2.5], [3], [30]])
    found = neighbourhoods(made, real, k=1)
    assert found == Neighbourhoods(precision=0.75, recall=1.0, density=5 / 4, coverage=1.0)


def test_a_set_and_itself() -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 16))
    found = neighbourhoods(vectors, vectors)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density == pytest.approx(1, abs=1e-12)


def test_sets_far_apart() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 4))
    assert neighbourhoods(vectors + 100, vectors) == Neighbourhoods(0, 0, 0, 0)


def test_one_image_copied_holds_itself_in_a_closed_ball_only() -> None:
    real = np.concatenate([np.zeros((6, 2)), np.random.default_rng(0).normal(size=(6, 2)) + 50])
    found = neighbourhoods(np.zeros((8, 2)), real)
    assert (found.precision, found.recall) == (1.0, 0.5)
    assert (found.density, found.coverage) == (0.0, 0.0)


@pytest.mark.parametrize("n", [40, 200])
def test_expectations_for_equal_distributions(n: int) -> None:
    """Naeem et al., lemmas 1 and 2: E density = 1, E coverage = 1 - (n-1)...(n-k) / ((2n-1)...(2n-k))."""
    random, k, repeats = np.random.default_rng(0), 5, 200
    found = [neighbourhoods(*random.normal(size=(2, n, 8)), k) for _ in range(repeats)]
    expected = 1 - np.prod([(n - i) / (2 * n - i) for i in range(1, k + 1)])
    for values, mean in (([f.coverage for f in found], expected), ([f.density for f in found], 1.0)):
        assert np.mean(values) == pytest.approx(mean, abs=3 * np.std(values) / np.sqrt(repeats))


def test_too_few_vectors() -> None:
    with pytest.raises(InvalidParameter, match="5 neighbours need more than 5 vectors, got 5 and 9"):
        neighbourhoods(np.zeros((5, 2)), np.zeros((9, 2)))


@pytest.mark.parametrize("dimensions", [2, 40])
def test_a_comparison_without_some_vectors_is_that_of_the_others(dimensions: int) -> None:
    random = np.random.default_rng(3)
    made, real = random.normal(0.5, 1, (130, dimensions)), random.normal(size=(90, dimensions))
    made[7] = made[8]
    comparison = Comparison(made, real)
    for share in (0.0, 0.1, 0.6):
        left_out = random.random(130) < share
        assert comparison.without(left_out) == neighbourhoods(made[~left_out], real)
    few = np.ones(130, dtype=bool)
    few[:5] = False
    with pytest.raises(InvalidParameter, match="5 neighbours need more than 5 vectors, got 5 and 90"):
        comparison.without(few)
