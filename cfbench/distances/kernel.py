"""Kernel distances (squared maximum mean discrepancy) from sums over pairs of groups, in float64."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cfbench.distances.vectors import Floats, checked
from cfbench.errors import InvalidParameter

Groups = NDArray[np.int64]
Kernel = Callable[[Floats, Floats], Floats]

BLOCK = 1024
"""Vectors on either side of a block of the kernel matrix."""

CMMD_SIGMA = 10.0
CMMD_SCALE = 1000.0
"""Bandwidth and factor of CMMD (Jayasumana et al., arXiv 2401.09603)."""


def cubic_kernel(x: Floats, y: Floats) -> Floats:
    """``(x.y / D + 1)^3`` of vectors ``[N, D]`` and ``[M, D]``, shape ``[N, M]`` (KID, arXiv 1801.01401, section 4)."""
    base = x @ y.T
    base /= x.shape[1]
    base += 1
    result: Floats = base * base
    result *= base
    return result


def gaussian_kernel(x: Floats, y: Floats) -> Floats:
    """``exp(-|x - y|^2 / (2 sigma^2))`` of vectors ``[N, D]`` and ``[M, D]`` with CMMD's sigma, shape ``[N, M]``."""
    squared = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1) - 2 * (x @ y.T)
    result: Floats = np.exp(squared.clip(min=0) / (-2 * CMMD_SIGMA**2))
    return result


@dataclass(frozen=True)
class KernelSums:
    """Sums of a kernel over pairs of vectors, by the groups of the two: all that leaving groups out needs.

    ``xx``, ``xy`` and ``yy`` [K, K] leave out each vector with itself and, in ``xy`` of ``paired`` sets, with its
    partner; ``own_xx``, ``own_xy`` and ``own_yy`` [K] are the sums over those.
    """

    xx: Floats
    xy: Floats
    yy: Floats
    own_xx: Floats
    own_xy: Floats
    own_yy: Floats
    count_x: Groups
    count_y: Groups
    paired: bool

    @classmethod
    def of(
        cls, x: Floats, y: Floats, kernel: Kernel, *, groups_x: Groups, groups_y: Groups | None = None
    ) -> KernelSums:
        """Sums over vectors ``x`` [N, D] and ``y`` [M, D] of groups numbered from 0, blockwise.

        Memory is O((N + M) K) beside the vectors. A set that is never left out has group -1 throughout. Without
        ``groups_y`` the rows of ``y`` are the partners of those of ``x`` and share their groups.

        Raises:
            InvalidParameter: a set is empty, partners are missing, numbers of features differ, or values are not finite
                or beyond float32.
        """
        x, y = checked(x, y)
        paired = groups_y is None
        if min(len(x), len(y)) == 0 or (paired and len(x) != len(y)):
            wanted = "as many on either side, as they are pairs" if paired else "at least one on either side"
            raise InvalidParameter(f"a kernel distance got {len(x)} and {len(y)} vectors; expected {wanted}")
        groups_y = groups_x if groups_y is None else groups_y
        groups = int(max(groups_x.max(), groups_y.max())) + 1
        a, b = _members(groups_x, groups), _members(groups_y, groups)
        xx, own_xx = _sums(x, x, a, a, kernel, partners=True)
        xy, own_xy = _sums(x, y, a, b, kernel, partners=paired)
        yy, own_yy = _sums(y, y, b, b, kernel, partners=True)
        counts = [member.sum(axis=0).astype(np.int64) for member in (a, b)]
        return cls(xx, xy, yy, own_xx, own_xy, own_yy, counts[0], counts[1], paired)

    def squared_mmd(self, left_out: Collection[int] = ()) -> float:
        """Unbiased squared maximum mean discrepancy without some groups; may be below 0.

        Of independent sets it is KID's estimator (Gretton et al. 2012, equation 3). Of paired sets the partners,
        which are too alike, are left out (equation 4): with them, KID's estimator is biased downwards.

        Raises:
            InvalidParameter: fewer than two vectors are left on a side.
        """
        kept, n, m = self._kept(left_out)
        across = n * (n - 1) if self.paired else n * m
        xx, xy, yy = (float(kept @ table @ kept) for table in (self.xx, self.xy, self.yy))
        return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / across

    def squared_mmd_biased(self, left_out: Collection[int] = ()) -> float:
        """Biased squared maximum mean discrepancy without some groups, at least 0 (Gretton et al. 2012, equation 5).

        It keeps the pairs of a vector with itself. CMMD's published code computes it, times ``CMMD_SCALE``, on CLIP
        embeddings of unit length, although the paper states the unbiased estimator. Raises as ``squared_mmd`` does.
        """
        kept, n, m = self._kept(left_out)
        tables = ((self.xx, self.own_xx), (self.xy, self.own_xy), (self.yy, self.own_yy))
        xx, xy, yy = (float(kept @ table @ kept + kept @ own) for table, own in tables)
        return xx / n**2 + yy / m**2 - 2 * xy / (n * m)

    def _kept(self, left_out: Collection[int]) -> tuple[NDArray[np.bool_], int, int]:
        kept = np.ones(len(self.count_x), dtype=bool)
        kept[list(left_out)] = False
        n, m = int(self.count_x[kept].sum()), int(self.count_y[kept].sum())
        if min(n, m) < 2:
            raise InvalidParameter(f"a kernel distance needs at least 2 vectors on either side, got {n} and {m}")
        return kept, n, m


def _members(groups: Groups, count: int) -> Floats:
    """Indicators ``[N, count + 1]`` of groups; the last column is that of -1."""
    return np.eye(count + 1)[groups]


def _sums(
    x: Floats, y: Floats, member_x: Floats, member_y: Floats, kernel: Kernel, *, partners: bool
) -> tuple[Floats, Floats]:
    """Sums by groups over the pairs of ``x`` and ``y`` that are no ``partners`` (of equal index), and over these."""
    table = np.zeros((member_x.shape[1], member_x.shape[1]))
    own = np.zeros(member_x.shape[1])
    for i in range(0, len(x), BLOCK):
        here = member_x[i : i + BLOCK]
        for j in range(i if x is y else 0, len(y), BLOCK):
            block = kernel(x[i : i + BLOCK], y[j : j + BLOCK])
            if partners and i == j:
                own += here.T @ np.diagonal(block)
                np.fill_diagonal(block, 0)
            sums = here.T @ (block @ member_y[j : j + BLOCK])
            table += sums + sums.T if x is y and i != j else sums
    return table, own
