"""How few pixels change, and how tidily? Doing nothing is perfectly sparse: read these beside the flip rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from cfbench.metrics.base import Direction, QueryMetric

if TYPE_CHECKING:
    from cfbench.batch import Batch


class _Sparsity(QueryMetric):
    family = "sparsity"
    direction: ClassVar[Direction] = "lower"
    bounds = (0.0, 1.0)
    unit = "share of pixels"


class _ChangedPixels(_Sparsity):
    citation = "L0 with a threshold; ours"

    THRESHOLD: ClassVar[int]

    def values(self, batch: Batch) -> Tensor:
        return (batch.levels.abs().amax(dim=1) > self.THRESHOLD).flatten(1).double().mean(1)


class Sparsity(_ChangedPixels):
    """Share of pixels that change by more than 10 of 255 levels in any channel.

    Rewards local change. Fooled by doing nothing, and by thin changes just below the threshold.
    """

    name = "sparsity"
    THRESHOLD = 10


class Sparsity1(_ChangedPixels):
    """Share of pixels that change by more than 1 of 255 levels in any channel.

    Rewards leaving pixels exactly alone. Fooled by doing nothing; harsh to methods that rebuild the whole image.
    """

    name = "sparsity_1"
    THRESHOLD = 1


class Sparsity5(_ChangedPixels):
    """Share of pixels that change by more than 5 of 255 levels in any channel.

    Rewards local change, below what the eye sees in flat regions. Fooled by doing nothing.
    """

    name = "sparsity_5"
    THRESHOLD = 5


class Sparsity25(_ChangedPixels):
    """Share of pixels that change by more than 25 of 255 levels in any channel.

    Rewards few plainly visible changes. Fooled by doing nothing and by noise below a tenth of the range.
    """

    name = "sparsity_25"
    THRESHOLD = 25


class Gini(_Sparsity):
    """Gini coefficient of the absolute changes over pixels and channels; undefined where nothing changes.

    Rewards a change that is concentrated, whatever its size. Fooled by one huge needless change.
    """

    name = "gini"
    direction = "higher"
    unit = "Gini coefficient"
    citation = "Hurley & Rickard, IEEE Trans. Inf. Theory 55(10), 2009, table I"

    def values(self, batch: Batch) -> Tensor:
        sizes = batch.levels.abs().flatten(1).double().sort(dim=1).values
        count = sizes.shape[1]
        ranks = torch.arange(1, count + 1, dtype=torch.float64, device=sizes.device)
        return ((2 * ranks - count - 1) * sizes).sum(1) / (count * sizes.sum(1))


class Hoyer(_Sparsity):
    """Hoyer's measure of the absolute changes, from 0 (all equal) to 1 (one pixel); undefined where nothing changes.

    Rewards a change that is concentrated, whatever its size. Fooled by one huge needless change.
    """

    name = "hoyer"
    direction = "higher"
    unit = "Hoyer's measure"
    citation = "Hoyer, JMLR 5, 2004, equation 5"

    def values(self, batch: Batch) -> Tensor:
        sizes = batch.levels.abs().flatten(1).double()
        root = sizes.shape[1] ** 0.5
        norm: Tensor = torch.linalg.vector_norm(sizes, dim=1)
        measure: Tensor = (root - sizes.sum(1) / norm) / (root - 1)
        return measure.clamp(0, 1)


class TotalVariation(_Sparsity):
    """Total variation of the change (anisotropic), a pixel and channel.

    Rewards smooth, connected changes over noise. Fooled by doing nothing and by changing the brightness of all.
    """

    name = "tv"
    unit = "pixel value in [0, 1]"
    bounds = (0.0, 4.0)
    citation = "Rudin, Osher & Fatemi, Physica D 60, 1992; of the difference image"

    def values(self, batch: Batch) -> Tensor:
        steps = [batch.change.diff(dim=dim).abs().flatten(1).sum(1) for dim in (2, 3)]
        return (steps[0] + steps[1]) / batch.change[0].numel()


class Regions(_Sparsity):
    """Number of connected regions (8 neighbours, at least 3 pixels) that change by more than 10 of 255 levels.

    Rewards one tidy edit over scattered ones. Fooled by doing nothing and by changing everything, which is one region.
    """

    name = "regions"
    unit = "regions"
    bounds = (0.0, float("inf"))
    citation = "ours"

    LEAST = 3

    def values(self, batch: Batch) -> Tensor:
        from scipy.ndimage import label

        changed = (batch.levels.abs().amax(dim=1) > Sparsity.THRESHOLD).cpu().numpy()
        within = np.zeros((3, 3, 3), dtype=bool)
        within[1] = True
        labels, count = label(changed, structure=within)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        images = np.empty(count, dtype=np.int64)
        images[labels[changed] - 1] = np.nonzero(changed)[0]
        return torch.from_numpy(np.bincount(images[sizes >= self.LEAST], minlength=len(changed)).astype(np.float64))
