"""The Frechet distance between Gaussians, in float64, from streamed moments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass
class Moments:
    """Count, mean ``[D]`` and scatter ``[D, D]`` of vectors, merged without cancellation.

    The merge is Chan, Golub and LeVeque's (1979); a float32 covariance at a large mean loses every digit.
    """

    n: int
    mean: Floats
    scatter: Floats

    @classmethod
    def of(cls, vectors: Floats) -> Moments:
        """Moments of the rows of ``vectors`` [N, D], N >= 1."""
        mean = vectors.mean(axis=0)
        centred = vectors - mean
        return cls(len(vectors), mean, centred.T @ centred)

    @classmethod
    def empty(cls, dimensions: int) -> Moments:
        """Moments of nothing."""
        return cls(0, np.zeros(dimensions), np.zeros((dimensions, dimensions)))

    def __add__(self, other: Moments) -> Moments:
        n = self.n + other.n
        if n == 0:
            return self
        shift = other.mean - self.mean
        mean = self.mean + shift * (other.n / n)
        scatter = self.scatter + other.scatter + np.outer(shift, shift) * (self.n * other.n / n)
        return Moments(n, mean, scatter)

    @classmethod
    def sum(cls, parts: Iterable[Moments], dimensions: int) -> Moments:
        """Moments of everything in ``parts``."""
        return sum(parts, start=cls.empty(dimensions))

    @property
    def covariance(self) -> Floats:
        """Unbiased covariance ``[D, D]`` (divided by n - 1); needs n >= 2."""
        return self.scatter / (self.n - 1)


def mixture(parts: list[Moments], weights: Floats) -> tuple[Floats, Floats]:
    """Mean and covariance of a mixture of the ``parts`` with the given ``weights`` (summing to 1).

    A part of weight zero may be empty; every other needs n >= 2.
    """
    chosen = [(part, weight) for part, weight in zip(parts, weights, strict=True) if weight > 0]
    mean = np.sum([weight * part.mean for part, weight in chosen], axis=0)
    second = [weight * (part.covariance + np.outer(part.mean - mean, part.mean - mean)) for part, weight in chosen]
    return mean, np.sum(second, axis=0)


def frechet_distance(mean_a: Floats, covariance_a: Floats, mean_b: Floats, covariance_b: Floats) -> float:
    """``|mean_a - mean_b|^2 + Tr(A + B - 2 (A B)^(1/2))`` of two Gaussians (Dowson & Landau 1982).

    The trace of the root is the sum of the square roots of the eigenvalues of the symmetric ``A^(1/2) B A^(1/2)``,
    which are real and non-negative; rounding below zero is clipped.

    Args:
        mean_a, mean_b: ``[D]``. covariance_a, covariance_b: symmetric, positive semi-definite, ``[D, D]``.
    """
    values, vectors = np.linalg.eigh(covariance_a)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    product = root @ covariance_b @ root
    shared = np.sqrt(np.linalg.eigvalsh((product + product.T) / 2).clip(min=0)).sum()
    shift = mean_a - mean_b
    return float(shift @ shift + np.trace(covariance_a) + np.trace(covariance_b) - 2 * shared)
