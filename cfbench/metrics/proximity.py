"""How far is the counterfactual from its query, in pixels and in features?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.metrics.base import QueryMetric

if TYPE_CHECKING:
    from cfbench.judges import Batch


class _Distance(QueryMetric):
    direction = "lower"
    bounds = (0.0, 1.0)


class L1(_Distance):
    """Mean absolute change over pixels and channels.

    Rewards small total change. Fooled by doing nothing: read it beside the flip rate.
    """

    name = "l1"
    family = "proximity"
    unit = "pixel value in [0, 1]"
    citation = "proximity; Wachter et al., arXiv 1711.00399"

    def values(self, batch: Batch) -> Tensor:
        return (batch.counterfactuals - batch.queries).abs().flatten(1).double().mean(1)


class L2(_Distance):
    """Root mean squared change over pixels and channels.

    Rewards spreading a change thinly, which is what adversarial noise does: read it beside oracle agreement.
    """

    name = "l2"
    family = "proximity"
    unit = "pixel value in [0, 1]"
    citation = "proximity; Wachter et al., arXiv 1711.00399"

    def values(self, batch: Batch) -> Tensor:
        return (batch.counterfactuals - batch.queries).double().square().flatten(1).mean(1).sqrt()


class Sparsity(_Distance):
    """Share of pixels that change by more than 10 of 255 levels in any channel.

    Rewards local change. Fooled by doing nothing, and by thin changes just below the threshold.
    """

    name = "sparsity"
    family = "sparsity"
    unit = "share of pixels"
    citation = "L0 with a threshold; ours"

    THRESHOLD = 10

    def values(self, batch: Batch) -> Tensor:
        change = (batch.stored.int() - batch.stored_queries.int()).abs().amax(dim=1)
        return (change > self.THRESHOLD).flatten(1).double().mean(1)


class FeatureDistance(_Distance):
    """Squared distance of channel-normalised features over the stages of the task's extractor.

    LPIPS's form (arXiv 1801.03924, equation 1) with unit weights on a domain network; never called LPIPS. Rewards
    perceptual closeness as that network sees it. Fooled by changes the extractor is blind to.
    """

    name = "feat_dist"
    family = "proximity"
    unit = "squared distance of unit vectors"
    bounds = (0.0, 4.0)
    citation = "after LPIPS, Zhang et al., arXiv 1801.03924"

    @property
    def network(self) -> str:
        return self.judges.task.identity(self.judges.extractor)

    def values(self, batch: Batch) -> Tensor:
        extractor = self.judges.extractor
        pairs = zip(batch.maps(extractor, "counterfactuals"), batch.maps(extractor, "queries"), strict=True)
        return torch.stack([_unit_distance(made, query) for made, query in pairs]).mean(dim=0)


def _unit_distance(made: Tensor, query: Tensor) -> Tensor:
    return (F.normalize(made) - F.normalize(query)).square().sum(1).flatten(1).double().mean(1)
