"""Clever-Hans discovery: do counterfactuals tell classifiers that rely on a confounder from those that do not?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cfbench.errors import InvalidParameter
from cfbench.stats import roc_auc


@dataclass(frozen=True)
class Discovery:
    """How well discovery rates follow the reliance of classifiers.

    Attributes:
        error: mean absolute difference of discovery rate and measured reliance.
        auroc: chance that a confounded classifier has a higher discovery rate than a clean one, ties half.
    """

    error: float
    auroc: float


def clever_hans(rates: Sequence[float], reliances: Sequence[float], confounded: Sequence[bool]) -> Discovery:
    """Score discovery rates of one method over several classifiers.

    Args:
        rates: metric ``discovery_rate`` on each classifier. reliances: of each on the confounder, in [0, 1], by exact
            interventions. confounded: whether each was trained with it.

    Raises:
        InvalidParameter: lengths differ, or there is no classifier of either kind.
    """
    if not len(rates) == len(reliances) == len(confounded):
        raise InvalidParameter(
            f"got {len(rates)} rates, {len(reliances)} reliances and {len(confounded)} labels; give one a classifier"
        )
    chosen = np.asarray(confounded, dtype=bool)
    if chosen.all() or not chosen.any():
        raise InvalidParameter("clever_hans needs clean and confounded classifiers; all given are of one kind")
    found = np.asarray(rates, dtype=np.float64)
    return Discovery(error=float(np.abs(found - np.asarray(reliances)).mean()), auroc=roc_auc(found, chosen))
