"""The Frechet distance between Gaussians, in float64, from streamed moments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cfbench.distances.vectors import Floats, checked
from cfbench.errors import InvalidParameter


@dataclass(frozen=True)
class Gaussian:
    """Mean ``[D]`` and covariance, given as ``[D, D]`` or as a factor ``[R, D]`` with covariance = factor^T factor."""

    mean: Floats
    matrix: Floats | None = None
    factor: Floats | None = None

    def __post_init__(self) -> None:
        if (self.matrix is None) == (self.factor is None):
            raise InvalidParameter("a Gaussian takes either the matrix or the factor of its covariance")

    @cached_property
    def covariance(self) -> Floats:
        """Covariance ``[D, D]``, multiplied out of the factor where there is one."""
        if self.factor is not None:
            product: Floats = self.factor.T @ self.factor
            return product
        assert self.matrix is not None
        return self.matrix

    @property
    def trace(self) -> float:
        """Trace of the covariance, the total variance. Frechet distances divided by that of the real images are free
        of the features' unit, which makes extractors comparable."""
        return float(np.square(self.factor).sum() if self.factor is not None else np.trace(self.covariance))

    def root(self) -> Floats:
        """Some ``[R, D]`` with covariance = root^T root: the factor, else Cholesky's, else the symmetric root."""
        if self.factor is not None:
            return self.factor
        try:
            root = np.linalg.cholesky(self.covariance).T
        except np.linalg.LinAlgError:
            values, vectors = np.linalg.eigh(self.covariance)
            root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
        return np.asarray(root, dtype=np.float64)


@dataclass(frozen=True)
class Moments:
    """Count, mean ``[D]`` and scatter of vectors, merged without cancellation.

    Below D vectors the scatter is kept as the centred ``rows`` [n, D], whose Gram matrix it is, so that a handful of
    long vectors never costs a ``[D, D]`` matrix; from D on it is that ``matrix``. The merge is Chan, Golub and
    LeVeque's (1979); a float32 covariance at a large mean loses every digit.
    """

    n: int
    mean: Floats
    rows: Floats | None = None
    matrix: Floats | None = None

    @classmethod
    def of(cls, vectors: Floats) -> Moments:
        """Moments of the rows of ``vectors`` [N, D], N >= 0.

        Raises:
            InvalidParameter: they have no features, or values that are not finite or beyond float32.
        """
        [vectors] = checked(vectors)
        n, dimensions = vectors.shape
        if n == 0:
            return cls.empty(dimensions)
        mean = vectors[0] + (vectors - vectors[0]).mean(axis=0)
        centred = vectors - mean
        return cls(n, mean, rows=centred) if n < dimensions else cls(n, mean, matrix=centred.T @ centred)

    @classmethod
    def empty(cls, dimensions: int) -> Moments:
        """Moments of nothing."""
        return cls(0, np.zeros(dimensions), rows=np.zeros((0, dimensions)))

    @classmethod
    def sum(cls, parts: Iterable[Moments], dimensions: int) -> Moments:
        """Moments of everything in ``parts``."""
        filled = [part for part in parts if part.n]
        if len(filled) < 2:
            return filled[0] if filled else cls.empty(dimensions)
        counts = np.array([part.n for part in filled])
        n = int(counts.sum())
        origin = filled[0].mean
        offsets = np.array([part.mean - origin for part in filled])
        mean = origin + counts @ offsets / n
        shifts = np.array([part.mean - mean for part in filled])
        if n < dimensions:
            rows = [part.rows + shift for part, shift in zip(filled, shifts, strict=True) if part.rows is not None]
            return cls(n, mean, rows=np.concatenate(rows))
        spread = [part.rows for part in filled if part.rows is not None]
        between = np.concatenate([*spread, shifts * np.sqrt(counts)[:, None]])
        matrix = between.T @ between
        for part in filled:
            if part.matrix is not None:
                matrix += part.matrix
        return cls(n, mean, matrix=matrix)

    def __add__(self, other: Moments) -> Moments:
        return Moments.sum((self, other), len(self.mean))

    @property
    def gaussian(self) -> Gaussian:
        """The Gaussian with this mean and the unbiased covariance (divided by n - 1).

        Raises:
            InvalidParameter: fewer than two vectors have no covariance.
        """
        if self.n < 2:
            raise InvalidParameter(f"a covariance needs at least 2 vectors, got {self.n}")
        if self.rows is not None:
            return Gaussian(self.mean, factor=self.rows / np.sqrt(self.n - 1))
        assert self.matrix is not None
        return Gaussian(self.mean, matrix=self.matrix / (self.n - 1))

    @property
    def covariance(self) -> Floats:
        """Unbiased covariance ``[D, D]``; raises as ``gaussian`` does."""
        return self.gaussian.covariance


def mixture(parts: list[Moments], weights: Floats) -> Gaussian:
    """Mean and covariance of a mixture of the ``parts`` with the given ``weights`` (summing to 1).

    A part of weight zero may be empty; every other needs n >= 2. The result has a factor if it has fewer than D rows.

    Raises:
        InvalidParameter: a part has too few vectors, or their numbers of features differ.
    """
    chosen = [(part.gaussian, weight) for part, weight in zip(parts, weights, strict=True) if weight > 0]
    checked(*(part.mean[None] for part, _ in chosen))
    mean = np.sum([weight * part.mean for part, weight in chosen], axis=0)
    between = [np.sqrt(weight) * (part.mean - mean)[None] for part, weight in chosen]
    within = [np.sqrt(weight) * part.factor for part, weight in chosen if part.factor is not None]
    factor = np.concatenate(between + within)
    if len(within) == len(chosen) and len(factor) < len(mean):
        return Gaussian(mean, factor=factor)
    matrices = [weight * part.matrix for part, weight in chosen if part.matrix is not None]
    return Gaussian(mean, matrix=np.sum([factor.T @ factor, *matrices], axis=0))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """``|mean_a - mean_b|^2 + Tr(A + B - 2 (A B)^(1/2))`` of two Gaussians (Dowson & Landau 1982), at least 0.

    The trace of the root is the sum of the roots of the eigenvalues of ``A B``, which one LAPACK routine gives for two
    full covariances, by Cholesky's factor of A; rounding below zero is clipped. With roots A = F^T F and B = G^T G it
    also is the nuclear norm of F G^T, the sum of its singular values: for factors of few rows that matrix is small,
    and the norm exact to rounding where eigenvalues are not.

    Raises:
        InvalidParameter: numbers of features differ.
    """
    checked(a.mean[None], b.mean[None])
    shift = a.mean - b.mean
    full = a.factor is None and b.factor is None
    shared = _shared_of_full(a, b) if full else np.linalg.svd(a.root() @ b.root().T, compute_uv=False).sum()
    return max(float(shift @ shift + a.trace + b.trace - 2 * shared), 0.0)


def _shared_of_full(a: Gaussian, b: Gaussian) -> float:
    """Trace of ``(A B)^(1/2)``; without a Cholesky factor, from the symmetric root of A."""
    from scipy.linalg import eigvalsh

    try:
        values = eigvalsh(b.covariance, a.covariance, type=2, driver="gv", check_finite=False)  # type: ignore[arg-type]
    except np.linalg.LinAlgError:
        root = a.root()
        values = eigvalsh(root @ b.covariance @ root.T)
    return float(np.sqrt(values.clip(min=0)).sum())
