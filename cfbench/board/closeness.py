"""The aggregate of the board: are the counterfactuals convincing and near at once?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cfbench.stats import Floats, mean_interval

LABEL = "convincing closeness"

DEFINITION = (
    "For each query, the share of oracles that see the target class in an image that flips the classifier, times "
    "max(0, 1 - d / D), where d is the {distance} from the query to the counterfactual and D the one to the "
    "counterfactual of {far} on the same query; the mean over queries with its 95 % interval. 1 convinces everybody "
    "without moving away from the query; 0 convinces nobody, or is no nearer than a real image of the target class. "
    "Queries without D are left out. Fooled by a distance that does not see the change: read it beside the others."
)
"""With the names of the distance and of the method that counts as far to be filled in."""


@dataclass(frozen=True)
class Mean:
    """A mean over ``n`` queries with its 95 % interval, None where none is known to cover."""

    value: float
    interval: tuple[float, float] | None
    n: int


def convincing_closeness(agreed: Floats, distance: Floats, far: Floats) -> Mean | None:
    """The aggregate of one row; None where no query has a distance that counts as far.

    Args:
        agreed: shares of oracles that agree on a flipped image, ``[seeds, queries]``. distance: to the query, of the
            same shape. far: the distance that counts as far on each query, ``[queries]``; 0 where there is none.
    """
    known = far > 0
    if not known.any():
        return None
    values = agreed[:, known] * np.maximum(0.0, 1 - distance[:, known] / far[known])
    return Mean(float(values.mean()), mean_interval(values), values.shape[1])
