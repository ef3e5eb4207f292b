"""How far is the counterfactual from its query, in pixels and in features?"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.metrics.base import Direction, QueryMetric

if TYPE_CHECKING:
    from cfbench.batch import Batch


class _Distance(QueryMetric):
    family = "proximity"
    direction: ClassVar[Direction] = "lower"
    bounds = (0.0, 1.0)
    unit = "pixel value in [0, 1]"
    citation = "proximity; Wachter et al., arXiv 1711.00399"


class L1(_Distance):
    """Mean absolute change over pixels and channels.

    Rewards small total change. Fooled by doing nothing: read it beside the flip rate.
    """

    name = "l1"

    def values(self, batch: Batch) -> Tensor:
        return batch.change.abs().flatten(1).mean(1)


class L2(_Distance):
    """Root mean squared change over pixels and channels.

    Rewards spreading a change thinly, which is what adversarial noise does. Fooled by that and by doing nothing: read
    it beside oracle agreement.
    """

    name = "l2"

    def values(self, batch: Batch) -> Tensor:
        return batch.change.square().flatten(1).mean(1).sqrt()


class LInf(_Distance):
    """Greatest absolute change of any pixel and channel.

    Rewards never changing a pixel much. Fooled by faint noise everywhere, the classical attack; a meaningful edit of
    a few pixels scores worst.
    """

    name = "linf"

    def values(self, batch: Batch) -> Tensor:
        return batch.change.abs().flatten(1).amax(1)


class ElasticNet(_Distance):
    """Sum of the absolute changes plus the Euclidean norm of the change, over pixels in [0, 1].

    Rewards small and few changes. Fooled by doing nothing; grows with the number of pixels, so that it compares
    within one image size only.
    """

    name = "elastic_net"
    bounds = (0.0, float("inf"))
    unit = "sum over pixels"
    citation = "as coded by Hvilshoj et al., arXiv 2111.00177 (L1 + L2 norm, not squared)"

    def values(self, batch: Batch) -> Tensor:
        change = batch.change.flatten(1)
        norm: Tensor = torch.linalg.vector_norm(change, dim=1)
        return change.abs().sum(1) + norm


class SSIM(_Distance):
    """Structural similarity of counterfactual and query: Gaussian window of 11 pixels, sigma 1.5, data range 1.

    Rewards keeping local structure. Fooled by doing nothing, and insensitive to change in flat regions.
    """

    name = "ssim"
    direction = "higher"
    bounds = (-1.0, 1.0)
    unit = "SSIM"
    citation = "Wang et al., IEEE TIP 13(4), 2004"

    WINDOW = 11

    def blocked(self) -> str | None:
        side = min(self.judges.image_shape[1:])
        return None if side >= self.WINDOW else f"its window is {self.WINDOW} pixels wide, images have {side}"

    def values(self, batch: Batch) -> Tensor:
        return ssim(batch.stored.double() / 255, batch.stored_queries.double() / 255, window=self.WINDOW)


class FeatureDistance(_Distance):
    """Squared distance of channel-normalised features over the stages of the task's extractor.

    LPIPS's form (arXiv 1801.03924, equation 1) with unit weights on a domain network; never called LPIPS. Rewards
    perceptual closeness as that network sees it. Fooled by changes the extractor is blind to, and by doing nothing.
    """

    name = "feat_dist"
    unit = "squared distance of unit vectors"
    bounds = (0.0, 4.0)
    needs = ("extractor", "stages")
    citation = "after LPIPS, Zhang et al., arXiv 1801.03924"

    def values(self, batch: Batch) -> Tensor:
        extractor = self.judges.extractor
        pairs = zip(batch.maps(extractor, "counterfactuals"), batch.maps(extractor, "queries"), strict=True)
        return torch.stack([unit_distance(made, query) for made, query in pairs]).mean(dim=0)


class LatentDivergence(_Distance):
    """Counterfactual latent divergence: is the query's own counterfactual nearer than strangers of the target class?

    ``log(exp(P(S_t <= d)) + exp(P(S_y >= d)))`` with d the distance of query and counterfactual in the extractor's
    pooled features, S_t and S_y the distances of the query to real images of the target and of the source class.
    Rewards leaving the spread of the source class while staying nearer than strangers of the target class. Doing
    nothing scores log(1 + e), as going very far does. Fooled by features that hardly tell the classes apart. The paper
    uses the latents of a VAE.
    """

    name = "cld"
    unit = "nats"
    bounds = (0.6931471805599453, 1.6931471805599454)
    needs = ("extractor", "reference")
    citation = "CLD; Sanchez & Tsaftaris, arXiv 2202.10166; Melistas et al., NeurIPS 2024, on extractor features (ours)"

    def values(self, batch: Batch) -> Tensor:
        space = self.judges.spaces[0]
        queries, made = (batch.features(space, which) for which in ("queries", "counterfactuals"))
        moved = (made - queries).norm(dim=1, keepdim=True)
        distances = torch.cdist(
            queries, self.judges.reference_features(space), compute_mode="donot_use_mm_for_euclid_dist"
        )
        labels = self.judges.reference.labels.cpu()
        targets, sources = batch.targets.cpu()[:, None] == labels, batch.sources.cpu()[:, None] == labels
        nearer = ((distances <= moved) & targets).sum(1) / targets.sum(1)
        farther = ((distances >= moved) & sources).sum(1) / sources.sum(1)
        divergence: Tensor = (nearer.double().exp() + farther.double().exp()).log()
        return torch.where(distances.isnan().any(dim=1) | moved[:, 0].isnan(), torch.nan, divergence)


def unit_distance(made: Tensor, query: Tensor) -> Tensor:
    return (F.normalize(made) - F.normalize(query)).square().sum(1).flatten(1).double().mean(1).clamp(max=4)


def ssim(first: Tensor, second: Tensor, *, window: int = 11, sigma: float = 1.5) -> Tensor:
    """Structural similarity of images ``[B, C, H, W]`` in [0, 1], over the windows that lie inside, ``[B]``."""
    places = torch.arange(window, dtype=first.dtype, device=first.device) - window // 2
    weights = (-(places**2) / (2 * sigma**2)).exp()
    weights = weights / weights.sum()
    bands = [
        torch.stack([F.pad(weights, (start, size - window - start)) for start in range(size - window + 1)])
        for size in first.shape[2:]
    ]
    parts = torch.stack([first, second, first * first, second * second, first * second])
    mean_a, mean_b, square_a, square_b, product = bands[0] @ parts @ bands[1].T
    stable = (0.01**2, 0.03**2)
    covariance = product - mean_a * mean_b
    variances = square_a + square_b - mean_a**2 - mean_b**2
    luminance = (2 * mean_a * mean_b + stable[0]) / (mean_a**2 + mean_b**2 + stable[0])
    structure = (2 * covariance + stable[1]) / (variances + stable[1])
    similarity: Tensor = (luminance * structure).flatten(1).mean(1)
    return similarity.clamp(-1, 1)
