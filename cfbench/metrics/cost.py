"""What a query cost, from the shards that stored it; wall time and memory are in the record, as no two runs agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cfbench.metrics.base import QueryMetric
from cfbench.record import Score

if TYPE_CHECKING:
    from cfbench.batch import Batch


class _Cost(QueryMetric):
    family = "cost"
    direction = "lower"
    bounds = (0.0, float("inf"))
    needs = ("costs",)
    citation = "ours"
    subsets = ("all",)

    COLUMN: ClassVar[str]

    def values(self, batch: Batch) -> Tensor:
        return batch.costs[self.COLUMN]

    def _score(self, values: NDArray[np.float64]) -> Score:
        """Without an interval: the queries of a shard share its cost evenly, so that their spread says nothing."""
        score = super()._score(values)
        if score.value is None:
            return score
        return score.model_copy(update={"ci95": None, "reason": "no interval: the queries of a shard share its cost"})

    def update(self, batch: Batch) -> dict[str, Tensor]:
        super().update(batch)
        return {}


class Forwards(_Cost):
    """Images that went forwards through the classifier, a query.

    Rewards thrift, whatever the machine. Fooled by calling the bare network of a white-box classifier, which is not
    counted.
    """

    name = "forwards"
    unit = "classifier passes a query"
    COLUMN = "forwards"


class Backwards(_Cost):
    """Images whose gradient came back through the classifier, a query.

    Rewards thrift, whatever the machine. Fooled by calling the bare network of a white-box classifier, which is not
    counted.
    """

    name = "backwards"
    unit = "gradient passes a query"
    COLUMN = "backwards"


class Generated(_Cost):
    """Images that went through networks handed to the method beside the classifier, a query.

    Rewards thrift with generators. Fooled by a method's own networks, which are not counted.
    """

    name = "generated"
    unit = "generator passes a query"
    COLUMN = "generated"
