"""How soon does the prediction turn while the change is put in, largest first?"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from cfbench.insertion import area, area_equal_steps
from cfbench.metrics.base import QueryMetric

if TYPE_CHECKING:
    from cfbench.batch import Batch

STEPS = 50
"""Steps of the insertion, as in the reference code; there is one more where they do not divide the pixels."""


class _Transition(QueryMetric):
    family = "transition"
    unit = "difference of areas"
    direction = "higher"
    bounds = (-1.0, 1.0)
    needs = ("classifier",)

    area: ClassVar = staticmethod(area)

    def values(self, batch: Batch) -> Tensor:
        pixels = batch.stored.shape[2] * batch.stored.shape[3]
        step = max(1, pixels // STEPS)
        areas = self.area(batch.curves(step), step=step, pixels=pixels)
        unchanged = (batch.levels == 0).flatten(1).all(dim=1)
        return torch.where(unchanged, 0.0, areas[:, 0] - areas[:, 1])


class COUT(_Transition):
    """Counterfactual transition: area under the target's probability minus under the source's while x' is put into x.

    Pixels go in by descending change, over true shares of the pixels; 0 where nothing changes. Rewards changes whose
    largest parts turn the prediction early. Fooled by adversarial noise concentrated on few strong pixels.
    """

    name = "cout"
    citation = "COUT; Khorram & Fuxin, CVPR 2022"


class ReferenceCOUT(_Transition):
    """COUT with every step taken as equally wide, as the authors' code has it: a constant p_t = 1 gives 1.014 at 28 px.

    For comparison with published figures; ``cout`` is the corrected one. Rewards and is fooled as ``cout`` is.
    """

    name = "cout_reference"
    bounds = (-1.02, 1.02)
    citation = "COUT as coded by Khorram & Fuxin, CVPR 2022; 0 where nothing changes, where the code divides by zero"

    area = staticmethod(area_equal_steps)
