"""Kernel distances between counterfactuals and held-out real images: unbiased, so fit for small sets."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING, Self

import numpy as np

from cfbench.clip import clip_space
from cfbench.collector import groups_of, matched
from cfbench.distances.intervals import GROUPS, Jackknife
from cfbench.distances.kernel import CMMD_SCALE, KernelSums, cubic_kernel, gaussian_kernel
from cfbench.distances.parallel import evaluated
from cfbench.distances.vectors import Floats
from cfbench.errors import InvalidParameter
from cfbench.metrics.official import OnInception
from cfbench.metrics.realism import FLOOR_DRAWS, SetMetric
from cfbench.spaces import Space

if TYPE_CHECKING:
    from cfbench.judges import Judges

FULL = 200
"""Images below which intervals of kernel distances are too narrow: of 100 they covered 91 % of the time."""


class KernelDistance(SetMetric):
    """Squared maximum mean discrepancy (kernel (x.y / d + 1)^3) from held-out real images of the target classes.

    KID on a domain network: unbiased at any number of images, so that it can fall below 0, where there are too few
    for a Frechet distance; of runs beyond 5,000 queries the first 5,000. Rewards looking like the class asked for.
    Fooled by adversarial noise that the extractor does not see.
    """

    name = "kd"
    direction = "lower"
    bounds = (-float("inf"), float("inf"))
    unit = "squared kernel distance"
    minimum = 100
    rule = "100; an interval from 200"
    citation = "Binkowski et al., arXiv 1801.01401, on domain features"

    @staticmethod
    def kernel(x: Floats, y: Floats) -> Floats:
        """Kernel of vectors ``[N, D]`` and ``[M, D]``, shape ``[N, M]``."""
        return cubic_kernel(x, y)

    second_sample = True

    def __init__(self, judges: Judges, space: Space) -> None:
        super().__init__(judges, space)
        self._sums = cache(self._summed)

    def _summed(self, subset: str) -> KernelSums:
        made, groups = self.collector.kept(subset)
        real = self.real[self._chosen(subset, seed=0)]
        if len(real) < 2:
            raise InvalidParameter(f"{len(real)} held-out real images have the classes of the targets")
        return KernelSums.of(
            made, real, self.kernel, groups_x=groups, groups_y=GROUPS + groups_of(np.arange(len(real)))
        )

    def _chosen(self, subset: str, *, seed: int) -> np.ndarray:
        """Held-out images, as many as there are with the classes of the targets, in random order."""
        labels, shares = self.judges.reference.labels.cpu().numpy(), self.collector.shares(subset)
        return np.random.default_rng(seed).permutation(matched(labels, shares, seed=seed))

    def counted(self, subset: str) -> int:
        return len(self.collector.kept(subset)[0])

    def withheld(self, found: Jackknife, subset: str) -> str | None:
        return f"needs at least {FULL} images" if self.counted(subset) < FULL else None

    def figure(self, subset: str, left_out: Collection[int] = ()) -> float:
        return self.distance(self._sums(subset), left_out)

    def distance(self, sums: KernelSums, left_out: Collection[int] = ()) -> float:
        """The estimate from the sums over pairs, without some jackknife groups."""
        return sums.squared_mmd(left_out)

    def floor(self, subset: str) -> float:
        """As many held-out images as there are counterfactuals, at most half, against the others; averaged."""
        size = self.counted(subset)
        return float(
            evaluated(lambda seed: self._split(self._chosen(subset, seed=seed), size), range(FLOOR_DRAWS)).mean()
        )

    def _split(self, chosen: np.ndarray, size: int) -> float:
        drawn = min(size, len(chosen) // 2)
        first, second = self.real[chosen[:drawn]], self.real[chosen[drawn:]]
        groups = [np.full(len(half), -1) for half in (first, second)]
        return self.distance(KernelSums.of(first, second, self.kernel, groups_x=groups[0], groups_y=groups[1]))


class KID(OnInception, KernelDistance):
    """Kernel Inception distance to held-out real images of the target classes, on the official Inception weights.

    Rewards looking like the class asked for; fit for fewer images than FID. Fooled as ``kd`` is. The whole set at
    once, where other codes average over random subsets; 2048 features computed as pytorch-fid does.
    """

    name = "kid"
    citation = "Binkowski et al., arXiv 1801.01401; pytorch-fid's port of the weights"


class CMMD(KernelDistance):
    """CLIP maximum mean discrepancy from held-out real images of the target classes, times 1000.

    Gaussian kernel on CLIP's image embeddings of unit length, estimator with each image paired with itself, as the
    authors' code has it. Rewards looking like the class asked for to a network that saw far more than ImageNet. Fooled
    as ``kd`` is; above 0 even between two real sets, see its floor. Each image costs seconds without a GPU.
    """

    name = "cmmd"
    bounds = (0.0, float("inf"))
    unit = "squared kernel distance, times 1000"
    citation = "Jayasumana et al., arXiv 2401.09603, as coded"
    resource = "the official CLIP weights"

    @staticmethod
    def kernel(x: Floats, y: Floats) -> Floats:
        return gaussian_kernel(x, y)

    @classmethod
    def instances(cls, judges: Judges) -> list[Self]:
        return [cls(judges, clip_space(judges.device))]

    @property
    def key(self) -> str:
        return self.name

    def distance(self, sums: KernelSums, left_out: Collection[int] = ()) -> float:
        return CMMD_SCALE * sums.squared_mmd_biased(left_out)
