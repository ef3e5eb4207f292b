"""The metric interface: per-query values, or statistics of the whole set."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cfbench.columns import Column
from cfbench.record import Score
from cfbench.stats import LEAST, bootstrap_mean, wilson

if TYPE_CHECKING:
    from cfbench.batch import Batch
    from cfbench.judges import Judges

Direction = Literal["higher", "lower"]

Scores = dict[str, Score]
"""Scores of one metric by subset: ``all`` queries (failures as the unchanged query), ``flipped`` ones only."""

FAMILIES = (
    "validity",
    "proximity",
    "sparsity",
    "transition",
    "realism",
    "attributes",
    "ground truth",
    "stability",
    "cost",
)
"""What metrics measure, in the order in which they are shown."""


class Metric(ABC):
    """A metric over stored counterfactuals. One instance scores one run: ``update`` per batch, then ``compute``.

    The docstring of a metric says what it is, what it rewards and how it can be fooled.

    Attributes:
        name: stable name in records. family: one of ``FAMILIES``. version: raised whenever values change.
        unit: of the value. direction: which way is better. bounds: least and greatest possible value.
        minimum: fewest queries for which a value is given; ``rule`` says it in words where it is no fixed number.
        needs: roles of networks, or ``reference``, ``truth``. resource: what else it needs, in words.
        protocol: name of the protocol whose runs it reads, if any. citation: where the definition is from.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    version: ClassVar[int] = 1
    unit: ClassVar[str]
    direction: ClassVar[Direction]
    bounds: ClassVar[tuple[float, float]]
    minimum: ClassVar[int] = 1
    rule: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()
    resource: ClassVar[str] = ""
    protocol: ClassVar[str | None] = None
    citation: ClassVar[str]
    subsets: ClassVar[tuple[str, ...]] = ("all", "flipped")

    def __init__(self, judges: Judges) -> None:
        self.judges = judges

    @classmethod
    def instances(cls, judges: Judges) -> list[Self]:
        """The metric, or one of it for each feature space that there is."""
        return [cls(judges)]

    @property
    def key(self) -> str:
        """Name of the scores in the record; ``name``, or ``name[space]``."""
        return self.name

    def blocked(self) -> str | None:
        """Why the metric cannot be computed here, or None."""
        lacking = self.lacks_runs()
        return lacking or next((reason for role in self.needs if (reason := self.judges.missing(role))), None)

    def lacks_runs(self) -> str | None:
        """How to make the runs of its protocol, if they were not asked for."""
        if self.protocol is None or self.protocol in self.judges.protocols:
            return None
        return f"needs further runs, made by cfbench evaluate --protocol {self.protocol}"

    @property
    def network(self) -> str | None:
        """Identity of the networks behind the number, or None."""
        names = [name for role in self.needs for name in self.judges.names(role)]
        return self.judges.identity(*names) if names else None

    @abstractmethod
    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take in a batch; gives the columns ``[B]`` to keep in the query table."""

    @abstractmethod
    def compute(self) -> Scores:
        """Scores of everything taken in."""

    def blank(self, reason: str, n: int = 0) -> Score:
        """A score without a value, with the reason."""
        return Score(value=None, n=n, version=self.version, network=self.network, reason=reason)

    @classmethod
    def explanation(cls) -> str:
        """The docstring: what it is, what it rewards, how it is fooled."""
        return inspect.getdoc(cls) or ""


class QueryMetric(Metric):
    """A metric with a value a query, averaged; not finite where undefined, which leaves the query out of ``n``.

    The interval is a bootstrap over queries; Wilson's where ``rate`` is set and every value is 0 or 1.
    """

    rate: ClassVar[bool] = False

    def __init__(self, judges: Judges) -> None:
        super().__init__(judges)
        self._values, self._flipped = Column(), Column()

    @abstractmethod
    def values(self, batch: Batch) -> Tensor:
        """The metric of each query, ``[B]``."""

    def update(self, batch: Batch) -> dict[str, Tensor]:
        values = self.values(batch).cpu().double()
        self._values.append(values)
        self._flipped.append(batch.flipped)
        return {self.key: values}

    def compute(self) -> Scores:
        values, flipped = self._values.values, self._flipped.values
        chosen = {"all": values, "flipped": values[flipped]}
        return {subset: self._score(chosen[subset]) for subset in self.subsets}

    def _score(self, values: NDArray[np.float64]) -> Score:
        if len(values) == 0:
            return self.blank("no query was flipped")
        values = values[np.isfinite(values)]
        n = len(values)
        if n == 0:
            return self.blank("undefined on every query")
        if n < self.minimum:
            return self.blank(f"needs at least {self.minimum} queries, has {n}", n)
        binary = self.rate and bool(np.isin(values, (0, 1)).all())
        interval = wilson(int(values.sum()), n) if binary else bootstrap_mean(values)
        reason = None if interval else f"no interval: that of a mean needs at least {LEAST} queries, has {n}"
        mean = float(values.mean().clip(values.min(), values.max()))
        return Score(value=mean, ci95=interval, n=n, version=self.version, network=self.network, reason=reason)
