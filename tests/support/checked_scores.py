"""What holds of every score: a finite number within the metric's bounds, or none and a reason."""

from __future__ import annotations

import math

from cfbench.record import Score
from cfbench.registry import METRICS
from cfbench.scoring import Scored


def check_scores(found: Scored) -> None:
    """Every score is a number within bounds, and so is its interval, or it has a reason."""
    for key, subsets in found.scores.items():
        kind = METRICS.load(key.partition("[")[0])
        for each in subsets.values():
            assert isinstance(each, Score)
            if each.value is None:
                assert each.reason, key
                continue
            assert math.isfinite(each.value), key
            assert kind.bounds[0] <= each.value <= kind.bounds[1], (key, each.value)
            for limit in each.ci95 or ():
                assert kind.bounds[0] <= limit <= kind.bounds[1], (key, each.ci95)
