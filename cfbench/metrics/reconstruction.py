"""Are the counterfactuals what autoencoders of the target class, and of all classes, can rebuild?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from cfbench.metrics.base import QueryMetric

if TYPE_CHECKING:
    from cfbench.batch import Batch

EPSILON = 1e-5
"""Added to denominators; the value with which the published figures of arXiv 2111.00177 come out."""


class _Reconstruction(QueryMetric):
    family = "realism"
    direction = "lower"
    bounds = (0.0, float("inf"))
    unit = "ratio"
    needs = ("autoencoder",)
    citation = "Van Looveren & Klaise, arXiv 1907.02584"


class IM1(_Reconstruction):
    """Reconstruction error by the target class's autoencoder over that by the source class's, squared norms.

    Rewards looking more like the target class than like the source. Fooled by images that both rebuild badly, and by
    anything blank, which every autoencoder rebuilds; weak autoencoders tie near 1.
    """

    name = "im1"

    def values(self, batch: Batch) -> Tensor:
        made = batch.counterfactuals
        target, source = (_squared(batch.rebuilt(by), made) for by in ("target", "source"))
        return target / (source + EPSILON)


class IM2(_Reconstruction):
    """Squared distance between the reconstructions by the target class's and the general autoencoder, scaled.

    The scale is the sum of absolute pixels with images in [-0.5, 0.5], as the papers have them. Rewards lying where
    the target class's autoencoder and that of all classes agree. Fooled by blank images and by adversarial noise,
    which no autoencoder rebuilds (arXiv 2111.00177 shows both).
    """

    name = "im2"

    def values(self, batch: Batch) -> Tensor:
        apart = _squared(batch.rebuilt("target"), batch.rebuilt("all"))
        return apart / ((batch.stored.double() / 255 - 0.5).abs().flatten(1).sum(1) + EPSILON)


def _squared(first: Tensor, second: Tensor) -> Tensor:
    return (first.double() - second.double()).square().flatten(1).sum(1)
