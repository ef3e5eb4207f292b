"""Kernel distances between counterfactuals and held-out real images: unbiased, so fit for small sets."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from cfbench.collector import matched
from cfbench.distances.kernel import KernelSums, cubic_kernel
from cfbench.errors import InvalidParameter
from cfbench.metrics.official import OnInception
from cfbench.metrics.realism import FLOOR_DRAWS, SetMetric

if TYPE_CHECKING:
    from cfbench.judges import Judges
    from cfbench.spaces import Space


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
    citation = "Binkowski et al., arXiv 1801.01401, on domain features"

    def __init__(self, judges: Judges, space: Space) -> None:
        super().__init__(judges, space)
        self._sums = cache(self._summed)

    def _summed(self, subset: str) -> KernelSums:
        made, groups = self.collector.kept(subset)
        real = self.real[matched(self.judges.reference.labels.cpu().numpy(), self.collector.shares(subset))]
        if len(real) < 2:
            raise InvalidParameter(f"{len(real)} held-out real images have the classes of the targets")
        return KernelSums.of(made, real, cubic_kernel, groups_x=groups, groups_y=np.full(len(real), -1))

    def counted(self, subset: str) -> int:
        return len(self.collector.kept(subset)[0])

    def figure(self, subset: str, left_out: Collection[int] = ()) -> float:
        return self._sums(subset).squared_mmd(left_out)

    def floor(self, subset: str) -> float:
        """Two halves of the held-out images, classes as the targets'; averaged over seeded draws."""
        labels, shares = self.judges.reference.labels.cpu().numpy(), self.collector.shares(subset)
        return float(np.mean([self._halves(matched(labels, shares, seed=seed)) for seed in range(FLOOR_DRAWS)]))

    def _halves(self, chosen: np.ndarray) -> float:
        first, second = self.real[chosen[::2]], self.real[chosen[1::2]]
        groups = [np.full(len(half), -1) for half in (first, second)]
        return KernelSums.of(first, second, cubic_kernel, groups_x=groups[0], groups_y=groups[1]).squared_mmd()


class KID(OnInception, KernelDistance):
    """Kernel Inception distance to held-out real images of the target classes, on the official Inception weights.

    Rewards looking like the class asked for; fit for fewer images than FID. Fooled as ``kd`` is. The whole set at
    once, where other codes average over random subsets; 2048 features computed as pytorch-fid does.
    """

    name = "kid"
    citation = "Binkowski et al., arXiv 1801.01401; pytorch-fid's port of the weights"
