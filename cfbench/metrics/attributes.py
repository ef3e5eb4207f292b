"""Which attributes change besides the one asked for? On tasks whose networks judge attributes."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cfbench.collector import groups_of
from cfbench.columns import Column
from cfbench.distances.intervals import plain_jackknife
from cfbench.metrics.agreement import jensen_shannon
from cfbench.metrics.base import Metric, QueryMetric, Scores
from cfbench.record import Score

if TYPE_CHECKING:
    from cfbench.batch import Batch
    from cfbench.judges import Judges


def chances(batch: Batch, which: str) -> Tensor:
    """Probability of each attribute by each attribute oracle, ``[oracles, B, A]``."""
    assert which in ("queries", "counterfactuals")
    names = batch.judges.names("attribute-oracle")
    return torch.stack([batch.logits(name, which) for name in names]).double().sigmoid()  # type: ignore[arg-type]


NAMELESS = "the task does not name its attributes and which of them define the classes"


class _Attributes(QueryMetric):
    family = "attributes"
    direction = "lower"
    needs = ("attribute-oracle",)

    def blocked(self) -> str | None:
        named = self.judges.attributes and self.judges.target_attributes
        return super().blocked() or (None if named else NAMELESS)


class MNAC(_Attributes):
    """Mean number of attributes whose oracle changes its mind, averaged over attribute oracles; ideally 1.

    Rewards changing the attribute asked for and nothing else. Fooled by doing nothing, which scores 0.
    """

    name = "mnac"
    unit = "attributes"
    bounds = (0.0, float("inf"))
    citation = "mean number of attributes changed; Rodriguez et al., arXiv 2103.10226"

    def values(self, batch: Batch) -> Tensor:
        before, after = (chances(batch, which) for which in ("queries", "counterfactuals"))
        changed = ((before > 0.5) != (after > 0.5)).double()
        return torch.where((before + after).isnan(), torch.nan, changed).sum(dim=2).mean(dim=0)


class OtherVariation(_Attributes):
    """Jensen-Shannon divergence (nats) of each other attribute's chances before and after, averaged.

    Rewards leaving alone what was not asked for. Fooled by doing nothing; read it beside ``lvs``.
    """

    name = "lvs_other"
    unit = "nats"
    bounds = (0.0, 0.6931471805599453)
    citation = "label variation score; Hvilshoj et al., arXiv 2111.00177, over the attributes not asked for"

    def values(self, batch: Batch) -> Tensor:
        kept = [index for index, name in enumerate(self.judges.attributes) if name not in self.judges.target_attributes]
        pairs = (chances(batch, which)[:, :, kept] for which in ("queries", "counterfactuals"))
        before, after = (torch.stack([chance, 1 - chance], dim=-1) for chance in pairs)
        return jensen_shannon(before, after).mean(dim=(0, 2))


class CorrelationDifference(Metric):
    """Sum over the attributes of how far the correlation of their changes with the target's is from that in the data.

    Correlations are Pearson's, over queries: of the oracles' attributes, and of their changes by the method. Rewards
    attributes that move together as they do in real images. Fooled by data whose correlations are themselves
    confounded; undefined for attributes that never change, which count with correlation 0.
    """

    name = "correlation_difference"
    family = "attributes"
    unit = "sum of differences of correlations"
    direction = "lower"
    bounds = (0.0, float("inf"))
    minimum = 100
    needs = ("attribute-oracle",)
    citation = "CD; Jeanneret et al., arXiv 2203.15636"

    def __init__(self, judges: Judges) -> None:
        super().__init__(judges)
        self._before, self._after, self._flipped = Column(), Column(), Column()

    def blocked(self) -> str | None:
        named = self.judges.attributes and self.judges.target_attributes
        return super().blocked() or (None if named else NAMELESS)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        self._before.append(chances(batch, "queries").mean(dim=0).float())
        self._after.append(chances(batch, "counterfactuals").mean(dim=0).float())
        self._flipped.append(batch.flipped)
        return {}

    def compute(self) -> Scores:
        before, after = (column.values.astype(np.float64) for column in (self._before, self._after))
        flipped = self._flipped.values
        chosen = {"all": np.ones(len(flipped), dtype=bool), "flipped": flipped}
        group = groups_of(np.arange(len(flipped)))
        return {subset: self._score(before[kept], after[kept], group[kept]) for subset, kept in chosen.items()}

    def _score(self, before: np.ndarray, after: np.ndarray, group: np.ndarray) -> Score:
        n = len(before)
        if n < self.minimum:
            return self.blank(f"needs at least {self.minimum} queries, has {n}", n)
        if not np.isfinite([before, after]).all():
            return self.blank("an attribute oracle gives NaN", n)
        target = self.judges.attributes.index(self.judges.target_attributes[0])

        def difference(left_out: Collection[int] = ()) -> float:
            kept = ~np.isin(group, list(left_out))
            pair = (before[kept], after[kept] - before[kept])
            data, changes = (correlations(values, target) for values in pair)
            return float(np.abs(data - changes).sum())

        found = plain_jackknife(difference)
        return Score(
            value=found.value,
            ci95=(max(found.interval[0], 0.0), max(found.interval[1], 0.0)),
            n=n,
            version=self.version,
            network=self.network,
            replicates=tuple(found.replicates.tolist()),
        )


def correlations(values: np.ndarray, column: int) -> np.ndarray:
    """Pearson correlation of each column of ``values`` [n, A] with one of them; 0 for a constant column."""
    centred = values - values.mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)
    products = centred.T @ centred[:, column]
    scale = norms * norms[column]
    result: np.ndarray = np.divide(products, scale, out=np.zeros_like(products), where=scale > 1e-12)
    return result
