"""The Frechet distance against closed forms, high precision and other libraries."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from torchmetrics.image.fid import _compute_fid

from cfbench.distances.frechet import Floats, Gaussian, Moments, frechet_distance, mixture
from cfbench.errors import InvalidParameter


def features(seed: int, n: int, dimensions: int) -> Floats:
    """Rectified vectors with a spectrum that falls by three decades, as pooled activations have."""
    random = np.random.default_rng(seed)
    mix = random.normal(size=(dimensions, dimensions)) * np.logspace(0, -1.5, dimensions)[:, None]
    return np.maximum(random.normal(size=(n, dimensions)) @ mix, 0) + seed


def dense(vectors: Floats) -> Gaussian:
    return Gaussian(vectors.mean(axis=0), np.cov(vectors, rowvar=False))


def test_shifted_identity_in_2048_dimensions() -> None:
    eye, zeros = np.eye(2048), np.zeros(2048)
    assert frechet_distance(Gaussian(zeros, eye), Gaussian(zeros + 1, eye)) == pytest.approx(2048, rel=1e-12)


def test_commuting_diagonals() -> None:
    a, b = np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 1.0, 16.0])
    found = frechet_distance(Gaussian(np.zeros(3), a), Gaussian(np.ones(3), b))
    assert found == pytest.approx(6.0, rel=1e-12)


def test_two_by_two_that_do_not_commute() -> None:
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[1.0, -0.5], [-0.5, 2.0]])
    expected = np.trace(a + b) - 2 * np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    found = frechet_distance(Gaussian(np.zeros(2), a), Gaussian(np.zeros(2), b))
    assert found == pytest.approx(expected, abs=1e-12)
    assert found == pytest.approx(0.8122104140, abs=1e-10)


def test_torchmetrics_on_the_same_moments() -> None:
    a, b = (Moments.of(features(seed, 500, 32)) for seed in (0, 1))
    theirs = _compute_fid(*map(torch.from_numpy, (a.mean, a.covariance, b.mean, b.covariance)))
    assert frechet_distance(a.gaussian, b.gaussian) == pytest.approx(float(theirs), rel=1e-9)


@pytest.mark.filterwarnings("ignore:The `disp` argument")
def test_fifty_digits_where_there_are_fewer_vectors_than_dimensions() -> None:
    """Twelve vectors in 40 dimensions: exact nuclear norm of the cross matrix in 50 digits; other routes are off."""
    a, b = features(0, 12, 40), features(1, 12, 40)
    with mpmath.workdps(50):
        centred, means = zip(*(centre_exactly(part) for part in (a, b)), strict=True)
        shared = sum(mpmath.svd_r(centred[0] * centred[1].T, compute_uv=False)) / 11
        traces = mpmath.fsum(value**2 for part in centred for value in part) / 11
        exact = float(mpmath.norm(means[0] - means[1]) ** 2 + traces - 2 * shared)

    ours = frechet_distance(Moments.of(a).gaussian, Moments.of(b).gaussian)
    assert ours == pytest.approx(exact, rel=1e-13)
    for other in (torchmetrics_distance(a, b), pytorch_fid_distance(a, b)):
        assert abs(ours - exact) < abs(other - exact)


def centre_exactly(vectors: Floats) -> tuple[mpmath.matrix, mpmath.matrix]:
    """Vectors less their mean, and the mean, in the digits of the context."""
    exact = mpmath.matrix(vectors.tolist())
    mean = mpmath.matrix([mpmath.fsum(exact[:, j]) / exact.rows for j in range(exact.cols)])
    rows = [[exact[i, j] - mean[j] for j in range(exact.cols)] for i in range(exact.rows)]
    return mpmath.matrix(rows), mean


def torchmetrics_distance(a: Floats, b: Floats) -> float:
    moments = (a.mean(axis=0), np.cov(a, rowvar=False), b.mean(axis=0), np.cov(b, rowvar=False))
    return float(_compute_fid(*map(torch.from_numpy, moments)))


def pytorch_fid_distance(a: Floats, b: Floats) -> float:
    from pytorch_fid.fid_score import calculate_frechet_distance

    moments = (a.mean(axis=0), np.cov(a, rowvar=False), b.mean(axis=0), np.cov(b, rowvar=False))
    return float(calculate_frechet_distance(*moments))


@pytest.mark.parametrize(("n_a", "n_b"), [(10, 10), (10, 200), (200, 10), (29, 31)])
def test_every_route_agrees_with_the_full_covariances(n_a: int, n_b: int) -> None:
    a, b = features(2, n_a, 30), features(3, n_b, 30)
    factored = frechet_distance(Moments.of(a).gaussian, Moments.of(b).gaussian)
    assert factored == pytest.approx(frechet_distance(dense(a), dense(b)), rel=1e-5)


def test_covariance_without_cholesky_factor() -> None:
    """A unit that never fires has no variance."""
    a, b = features(0, 200, 8), features(1, 200, 8)
    dead = [np.concatenate([part, np.full((200, 3), 5.0)], axis=1) for part in (a, b)]
    expected = frechet_distance(dense(a), dense(b))
    assert frechet_distance(dense(dead[0]), dense(dead[1])) == pytest.approx(expected, rel=1e-7)


def test_symmetric_and_zero_on_itself() -> None:
    a, b = (Moments.of(features(seed, 100, 8)).gaussian for seed in (0, 1))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("dimensions", [5, 1100])
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_streamed_moments_are_numpys_even_at_a_large_mean(offset: float, dimensions: int) -> None:
    vectors = np.random.default_rng(2).normal(size=(1000, dimensions)) + offset
    streamed = Moments.sum((Moments.of(part) for part in np.array_split(vectors, 13)), dimensions)
    one_by_one = Moments.empty(dimensions)
    for part in np.array_split(vectors, 13):
        one_by_one += Moments.of(part)
    exact = np.cov(vectors - offset, rowvar=False)
    for moments in (streamed, one_by_one):
        assert moments.n == 1000
        assert (moments.matrix is None) == (dimensions > 1000)
        np.testing.assert_allclose(moments.mean, vectors.mean(axis=0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(moments.covariance, exact, rtol=1e-6, atol=1e-9)


def test_rows_become_a_matrix_once_there_are_as_many_as_dimensions() -> None:
    vectors = features(4, 30, 20)
    parts = [Moments.of(part) for part in np.array_split(vectors, 3)]
    assert [part.matrix is None for part in (*parts, parts[0] + parts[1], Moments.sum(parts, 20))] == [
        True,
        True,
        True,
        False,
        False,
    ]
    np.testing.assert_allclose(Moments.sum(parts, 20).covariance, np.cov(vectors, rowvar=False), atol=1e-12)


def test_fewer_than_two_vectors_have_no_covariance() -> None:
    for moments in (Moments.empty(3), Moments.of(np.ones((1, 3)))):
        with pytest.raises(InvalidParameter, match="at least 2 vectors"):
            _ = moments.covariance


@pytest.mark.parametrize("dimensions", [4, 300])
def test_mixture_with_the_shares_of_a_sample_has_its_population_moments(dimensions: int) -> None:
    random = np.random.default_rng(3)
    groups = [random.normal(size=(n, dimensions)) + shift for n, shift in ((40, 0), (60, 2))]
    parts = [Moments.of(groups[0]), Moments.empty(dimensions), Moments.of(groups[1])]
    found = mixture(parts, np.array([0.4, 0.0, 0.6]))
    assert (found.factor is None) == (dimensions == 4)
    within = 0.4 * np.cov(groups[0], rowvar=False) + 0.6 * np.cov(groups[1], rowvar=False)
    shift = groups[1].mean(axis=0) - groups[0].mean(axis=0)
    np.testing.assert_allclose(found.mean, np.concatenate(groups).mean(axis=0))
    np.testing.assert_allclose(found.covariance, within + 0.24 * np.outer(shift, shift), atol=1e-12)
    assert found.trace == pytest.approx(np.trace(found.covariance))
