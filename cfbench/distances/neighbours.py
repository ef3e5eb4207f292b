"""Precision, recall, density and coverage of one set of vectors by the nearest neighbours of another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cfbench.distances.vectors import Floats, checked
from cfbench.errors import InvalidParameter

Bools = NDArray[np.bool_]

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
        InvalidParameter: a set has no more than k vectors, numbers of features differ, or values are not finite or
            beyond float32.
    """
    made, real = checked(made, real)
    _check(len(made), len(real), k)
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


class Comparison:
    """``made`` [N, D] and ``real`` [M, D], to be compared again and again without some of the made vectors.

    Distances are kept, in memory of O((N + M)^2); ``without`` gives what :func:`neighbourhoods` gives, faster.

    Raises:
        InvalidParameter: as :func:`neighbourhoods` does.
    """

    def __init__(self, made: Floats, real: Floats, k: int = NEIGHBOURS) -> None:
        made, real = checked(made, real)
        _check(len(made), len(real), k)
        centre = real.mean(axis=0, dtype=np.float64)
        self.made, self.real, self.k = made - centre, real - centre, k
        longest = max(float(np.square(part).sum(axis=1).max()) for part in (self.made, self.real))
        self._slack = 8 * np.finfo(np.float64).eps * made.shape[1] * longest

    @cached_property
    def _among(self) -> Floats:
        squared = _squared(self.made, self.made)
        np.fill_diagonal(squared, np.inf)
        return squared

    @cached_property
    def _held(self) -> tuple[Bools, Bools]:
        """Whether each real ball, closed and open, holds each made vector, ``[N, M]``."""
        reach = _reach(self.real, self.k)
        return self._across <= reach + self._slack, self._across < reach - self._slack

    @cached_property
    def _across(self) -> Floats:
        return _squared(self.made, self.real)

    def without(self, left_out: Bools) -> Neighbourhoods:
        """The figures without the made vectors that are marked in ``left_out`` [N].

        Raises:
            InvalidParameter: a set has no more than k vectors left.
        """
        kept = np.flatnonzero(~left_out)
        _check(len(kept), len(self.real), self.k)
        reach = np.partition(self._among[np.ix_(kept, kept)], self.k - 1, axis=1)[:, self.k - 1]
        closed, opened = (held[kept] for held in self._held)
        return Neighbourhoods(
            precision=float(closed.any(axis=1).mean()),
            recall=float((self._across[kept] <= reach[:, None] + self._slack).any(axis=0).mean()),
            density=int(opened.sum()) / (self.k * len(kept)),
            coverage=float(opened.any(axis=0).mean()),
            densities=opened.sum(axis=1) / self.k,
        )


def _check(made: int, real: int, k: int) -> None:
    if min(made, real) <= k:
        raise InvalidParameter(f"{k} neighbours need more than {k} vectors, got {made} and {real}")


def _squared(x: Floats, y: Floats) -> Floats:
    """Squared distances ``[N, M]``."""
    squared = np.empty((len(x), len(y)))
    for rows, columns, block in _blocks(x, y):
        squared[rows, columns] = block
    return squared


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
