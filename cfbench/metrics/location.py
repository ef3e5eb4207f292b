"""Where does the change lie: in the object of the query, or around it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cfbench.metrics.base import QueryMetric

if TYPE_CHECKING:
    from cfbench.batch import Batch


class ChangeInside(QueryMetric):
    """Share of the absolute change, summed over pixels and channels, that lies inside the query's object.

    Undefined where nothing changes, and where the query has no object. Rewards leaving the ground alone. The data set
    says where the object is, by a simple rule that is sometimes wrong. Fooled by noise inside the object; harsh where
    the right answer reaches beyond its outline, as from a t-shirt to a coat; near 1 for any change where the object
    fills the image: read it beside ``change_focus`` and ``oracle_agreed_flip``.
    """

    name = "change_inside"
    family = "sparsity"
    unit = "share of the change"
    direction = "higher"
    bounds = (0.0, 1.0)
    needs = ("objects",)
    citation = "ours"

    def values(self, batch: Batch) -> Tensor:
        return _inside(batch).where(batch.objects.flatten(1).any(1), torch.nan)


class ChangeFocus(QueryMetric):
    """``change_inside`` over the object's share of the image: 1 for a change spread evenly, more for one in the object.

    Undefined where nothing changes, and where the query has no object. Rewards concentrating the change in the object,
    whatever its size. Fooled by noise inside the object; queries with small objects, which can reach far above 1, weigh
    most in its mean, and where the object fills the image it is 1 for any change.
    """

    name = "change_focus"
    family = "sparsity"
    unit = "times the change spread evenly"
    direction = "higher"
    bounds = (0.0, float("inf"))
    needs = ("objects",)
    citation = "ours"

    def values(self, batch: Batch) -> Tensor:
        return _inside(batch) / batch.objects.flatten(1).double().mean(1)


def _inside(batch: Batch) -> Tensor:
    """Share of each change inside the object, ``[B]``; NaN where there is no change."""
    sizes = batch.levels.abs().sum(dim=1).double()
    return (sizes * batch.objects).flatten(1).sum(1) / sizes.flatten(1).sum(1)
