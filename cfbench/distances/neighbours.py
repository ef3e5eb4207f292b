"""Precision, recall, density and coverage of one set of vectors by the nearest neighbours of another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cfbench.errors import InvalidParameter

Floats = NDArray[np.float64]

NEIGHBOURS = 5
"""Neighbours k that make up a ball (Naeem et al., arXiv 2002.09797, section 3.3)."""

BLOCK = 1024
"""Vectors on either side of a block of distances."""


@dataclass(frozen=True)
class Neighbourhoods:
    """Shares of made vectors in real balls (``precision``), of real vectors in made balls (``recall``), real balls a
    made vector is in, over k (``density``, about 1, unbounded), and of real balls with a made vector (``coverage``).

    ``densities`` are those of the made vectors, ``[N]``, whose mean ``density`` is.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    densities: Floats = field(default_factory=lambda: np.empty(0), compare=False, repr=False)


def neighbourhoods(made: Floats, real: Floats, k: int = NEIGHBOURS) -> Neighbourhoods:
    """Compare ``made`` [N, D] with ``real`` [M, D], N and M above k, in memory of O((N + M) (D + k)).

    The ball of a vector reaches to its k-th nearest other vector of the same set; duplicates are others, at distance
    0. Precision and recall take closed balls, as equation 1 of Kynkaanniemi et al. (arXiv 1904.06991) does, so that
    duplicates of a made vector hold it though their ball has radius 0. Density and coverage (Naeem et al., arXiv
    2002.09797, equations 3 and 4) take open balls as their authors' code does, so that a set compared with itself has
    density 1. Distances that differ by less than the rounding of a scalar product are ties.

    Raises:
        InvalidParameter: a set has no more than k vectors.
    """
    if min(len(made), len(real)) <= k:
        raise InvalidParameter(f"{k} neighbours need more than {k} vectors, got {len(made)} and {len(real)}")
    centre = real.mean(axis=0, dtype=np.float64)
    made, real = made - centre, real - centre
    longest = max(float(np.square(part).sum(axis=1).max()) for part in (made, real))
    slack = 8 * np.finfo(np.float64).eps * made.shape[1] * longest
    reach_made, reach_real = _reach(made, k), _reach(real, k)

    in_real, in_made = np.zeros(len(made), dtype=bool), np.zeros(len(real), dtype=bool)
    balls, covered = np.zeros(len(made)), np.zeros(len(real), dtype=bool)
    for rows, columns, squared in _blocks(made, real):
        in_real[rows] |= (squared <= reach_real[columns] + slack).any(axis=1)
        in_made[columns] |= (squared <= reach_made[rows, None] + slack).any(axis=0)
        inside = squared < reach_real[columns] - slack
        balls[rows] += inside.sum(axis=1)
        covered[columns] |= inside.any(axis=0)
    return Neighbourhoods(
        precision=float(in_real.mean()),
        recall=float(in_made.mean()),
        density=float(balls.sum()) / (k * len(made)),
        coverage=float(covered.mean()),
        densities=balls / k,
    )


def _reach(vectors: Floats, k: int) -> Floats:
    """Squared distance ``[N]`` of each vector to its k-th nearest other."""
    nearest = np.full((len(vectors), k), np.inf)
    for rows, columns, squared in _blocks(vectors, vectors):
        if rows == columns:
            np.fill_diagonal(squared, np.inf)
        nearest[rows] = np.partition(np.concatenate([nearest[rows], squared], axis=1), k - 1, axis=1)[:, :k]
    reach: Floats = nearest.max(axis=1)
    return reach


def _blocks(x: Floats, y: Floats) -> Iterator[tuple[slice, slice, Floats]]:
    """Blocks of the squared distances between ``x`` and ``y``, with their rows and columns."""
    square_x, square_y = np.square(x).sum(axis=1), np.square(y).sum(axis=1)
    for i in range(0, len(x), BLOCK):
        rows = slice(i, min(i + BLOCK, len(x)))
        for j in range(0, len(y), BLOCK):
            columns = slice(j, min(j + BLOCK, len(y)))
            squared = x[rows] @ y[columns].T
            squared *= -2
            squared += square_x[rows, None]
            squared += square_y[columns]
            yield rows, columns, squared
