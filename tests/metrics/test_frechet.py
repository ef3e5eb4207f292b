"""The Frechet distance against closed forms and other libraries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.image.fid import _compute_fid

from cfbench.metrics.frechet import Moments, frechet_distance, mixture


def test_shifted_identity_in_2048_dimensions() -> None:
    eye, zeros = np.eye(2048), np.zeros(2048)
    assert frechet_distance(zeros, eye, zeros + 1, eye) == pytest.approx(2048, rel=1e-12)


def test_commuting_diagonals() -> None:
    a, b = np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 1.0, 16.0])
    assert frechet_distance(np.zeros(3), a, np.ones(3), b) == pytest.approx(6.0, rel=1e-12)


def test_two_by_two_that_do_not_commute() -> None:
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[1.0, -0.5], [-0.5, 2.0]])
    expected = np.trace(a + b) - 2 * np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    found = frechet_distance(np.zeros(2), a, np.zeros(2), b)
    assert found == pytest.approx(expected, abs=1e-12)
    assert found == pytest.approx(0.8122104140, abs=1e-10)


def test_torchmetrics_on_the_same_moments() -> None:
    random = np.random.default_rng(0)
    a, b = (Moments.of(random.normal(size=(500, 32)) @ random.normal(size=(32, 32))) for _ in range(2))
    theirs = _compute_fid(*map(torch.from_numpy, (a.mean, a.covariance, b.mean, b.covariance)))
    assert frechet_distance(a.mean, a.covariance, b.mean, b.covariance) == pytest.approx(float(theirs), rel=1e-9)


def test_symmetric_and_zero_on_itself() -> None:
    random = np.random.default_rng(1)
    a, b = (Moments.of(random.normal(size=(100, 8)) + shift) for shift in (0, 1))
    forth = frechet_distance(a.mean, a.covariance, b.mean, b.covariance)
    assert forth == pytest.approx(frechet_distance(b.mean, b.covariance, a.mean, a.covariance), rel=1e-12)
    assert frechet_distance(a.mean, a.covariance, a.mean, a.covariance) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_streamed_moments_are_numpys_even_at_a_large_mean(offset: float) -> None:
    vectors = np.random.default_rng(2).normal(size=(1000, 5)) + offset
    streamed = Moments.sum((Moments.of(part) for part in np.array_split(vectors, 13)), 5)
    assert streamed.n == 1000
    np.testing.assert_allclose(streamed.mean, vectors.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(streamed.covariance, np.cov(vectors - offset, rowvar=False), rtol=1e-6, atol=1e-9)


def test_mixture_with_the_shares_of_a_sample_has_its_population_moments() -> None:
    random = np.random.default_rng(3)
    groups = [random.normal(size=(n, 4)) + shift for n, shift in ((40, 0), (60, 2))]
    mean, covariance = mixture([Moments.of(group) for group in groups], np.array([0.4, 0.6]))
    whole = np.concatenate(groups)
    within = 0.4 * np.cov(groups[0], rowvar=False) + 0.6 * np.cov(groups[1], rowvar=False)
    shift = groups[1].mean(axis=0) - groups[0].mean(axis=0)
    np.testing.assert_allclose(mean, whole.mean(axis=0))
    np.testing.assert_allclose(covariance, within + 0.24 * np.outer(shift, shift))
