"""The metric interface: per-query values, or statistics of the whole set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from cfbench.record import Score
from cfbench.stats import bootstrap_mean, wilson

if TYPE_CHECKING:
    from cfbench.judges import Batch, Judges

Scores = dict[str, Score]
"""Scores of one metric by subset: ``all`` queries (failures as the unchanged query), ``flipped`` ones only."""


FAMILIES = ("validity", "proximity", "sparsity", "realism")
"""What metrics measure, in the order in which they are shown."""


class Metric(ABC):
    """A metric over stored counterfactuals. One instance scores one run: ``update`` per batch, then ``compute``.

    Attributes:
        name: stable name in records. family: one of ``FAMILIES``. version: raised whenever values change.
        unit: of the value.
        direction: which way is better. bounds: least and greatest possible value.
        citation: where the definition is from.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    version: ClassVar[int] = 1
    unit: ClassVar[str]
    direction: ClassVar[Literal["higher", "lower"]]
    bounds: ClassVar[tuple[float, float]]
    citation: ClassVar[str]
    subsets: ClassVar[tuple[str, ...]] = ("all", "flipped")

    def __init__(self, judges: Judges) -> None:
        self.judges = judges

    def blocked(self) -> str | None:
        """Why the metric cannot be computed here, or None."""
        return None

    @property
    def network(self) -> str | None:
        """Identity of the networks behind the number, or None."""
        return None

    @abstractmethod
    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take in a batch; gives the columns ``[B]`` to keep in the query table."""

    @abstractmethod
    def compute(self) -> Scores:
        """Scores of everything taken in."""

    def blank(self, reason: str) -> Scores:
        """Scores without values, with the reason."""
        return {
            subset: Score(value=None, n=0, version=self.version, network=self.network, reason=reason)
            for subset in self.subsets
        }


class QueryMetric(Metric):
    """A metric with a value a query, averaged; NaN where it is undefined, which leaves the query out of ``n``.

    The interval is a bootstrap over queries; Wilson's where ``rate`` is set and every value is 0 or 1.
    """

    rate: ClassVar[bool] = False

    def __init__(self, judges: Judges) -> None:
        super().__init__(judges)
        self._values: list[Tensor] = []
        self._flipped: list[Tensor] = []

    @abstractmethod
    def values(self, batch: Batch) -> Tensor:
        """The metric of each query, ``[B]``."""

    def update(self, batch: Batch) -> dict[str, Tensor]:
        values = self.values(batch).to("cpu", torch.float64)
        self._values.append(values)
        self._flipped.append(batch.flipped.cpu())
        return {self.name: values}

    def compute(self) -> Scores:
        values, flipped = torch.cat(self._values).numpy(), torch.cat(self._flipped).numpy()
        chosen = {"all": values, "flipped": values[flipped]}
        return {subset: self._score(chosen[subset]) for subset in self.subsets}

    def _score(self, values: np.ndarray) -> Score:
        if len(values) == 0:
            return Score(value=None, n=0, version=self.version, network=self.network, reason="no query was flipped")
        values = values[~np.isnan(values)]
        n = len(values)
        if n == 0:
            return Score(value=None, n=0, version=self.version, network=self.network, reason="undefined on every query")
        binary = self.rate and bool(np.isin(values, (0, 1)).all())
        interval = wilson(int(values.sum()), n) if binary else bootstrap_mean(values)
        return Score(value=float(values.mean()), ci95=interval, n=n, version=self.version, network=self.network)
