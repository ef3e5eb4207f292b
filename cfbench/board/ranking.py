"""Who is ranked and where, and who is not and why: the complete rows of one board against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from cfbench.board.closeness import Mean, convincing_closeness
from cfbench.board.entries import Entry
from cfbench.board.rules import SECONDS, Rules
from cfbench.board.significance import Flags, better, corrected_p, pareto_front, rank_intervals
from cfbench.comparison import Run
from cfbench.errors import CorruptFile
from cfbench.record import Record, Score
from cfbench.registry import metric_of
from cfbench.stats import Floats

Status = Literal["ranked", "adversarial", "reference", "unranked", "partial"]

STATUSES: dict[Status, str] = {
    "ranked": "beats the attack {gate} by {headline} beyond chance",
    "adversarial": "does not beat the attack {gate} by {headline} beyond chance, so that its flips may mean nothing",
    "reference": "shows what the scores mean and wins nothing",
    "unranked": "cannot be compared with the attack {gate} by {headline}",
    "partial": "has not explained all queries",
}
"""What each status means, in the order in which rows are shown; names from the rules are filled in."""


@dataclass(frozen=True)
class Row:
    """One method with one set of parameters on a board: its seeds together, or one run that is partial.

    Attributes:
        label: the method, with the parameters that tell rows apart. entries: one a seed.
        scores: by metric, as :func:`cfbench.comparison.pooled` gives them; metrics that no seed has are missing.
        status, reason: whether it is ranked, and why not. rank: best and worst rank that the tests leave open.
        group: number of its rank group, from 1; rows of a group share their best rank.
        pareto: whether it is on the Pareto front. aggregate: see :func:`convincing_closeness`.
    """

    label: str
    entries: tuple[Entry, ...]
    scores: dict[str, Score]
    status: Status
    reason: str = ""
    rank: tuple[int, int] | None = None
    group: int | None = None
    pareto: bool = False
    aggregate: Mean | None = None

    @property
    def record(self) -> Record:
        """The record of its first seed."""
        return self.entries[0].record

    @property
    def seconds(self) -> float | None:
        """Seconds a query, the mean over seeds; None where they are not known."""
        costs = [entry.record.cost for entry in self.entries]
        known = [cost.seconds_per_query for cost in costs if cost]
        return float(np.mean(known)) if len(known) == len(costs) else None

    def refers_to(self, method: str) -> bool:
        """Whether it is the reference row of a method; others may call themselves like one."""
        return self.status == "reference" and self.record.key.method == method

    def value(self, criterion: str) -> float:
        """A score or the seconds a query; NaN where there is none."""
        score = self.scores.get(criterion)
        found = self.seconds if criterion == SECONDS else score.value if score else None
        return np.nan if found is None else found


def ranked(rows: Sequence[Row], rules: Rules) -> list[Row]:
    """Complete rows of one board with what they come to among each other, in the order given.

    All pairs are one family of tests, references included, so that adding one shifts every correction alike.

    Args:
        rows: of status ``reference`` or ``unranked``; the latter are ranked if they pass the gate.

    Raises:
        CorruptFile: rows explain different queries.
    """
    tables = [[_in_order(entry.run, rows[0].entries[0].run) for entry in row.entries] for row in rows]
    headlines = {
        index: values
        for index, (row, each) in enumerate(zip(rows, tables, strict=True))
        if not np.isnan(row.value(rules.headline)) and (values := _values(each, rules.headline)) is not None
    }
    known, judged = [*headlines], [*headlines.values()]
    is_better = np.zeros((len(rows), len(rows)), dtype=bool)
    is_better[np.ix_(known, known)] = better(np.array([values.mean() for values in judged]), corrected_p(judged))
    gates = [index for index in known if rows[index].refers_to(rules.gate)]
    found = [
        row if row.status == "reference" else replace(row, **_verdict(index in known, is_better[index, gates], rules))
        for index, row in enumerate(rows)
    ]
    places = [index for index, row in enumerate(found) if row.status == "ranked"]
    intervals = rank_intervals(is_better[np.ix_(places, places)])
    lows = sorted({low for low, _ in intervals})
    front = pareto_front(_criteria([found[index] for index in places], rules))
    for index, interval, on_front in zip(places, intervals, front, strict=True):
        group = 1 + lows.index(interval[0])
        found[index] = replace(found[index], rank=interval, group=group, pareto=bool(on_front))
    return _with_aggregates(found, tables, rules)


def _in_order(run: Run, first: Run) -> pd.DataFrame:
    """The query table of a run in the order of another one's."""
    order = first.table.index
    if run.table.index.equals(order):
        return run.table
    if not run.table.index.sort_values().equals(order.sort_values()):
        raise CorruptFile(f"{run.path} and {first.path} explain other queries of one split; remove the wrong one")
    return run.table.loc[order]


def _values(tables: Sequence[pd.DataFrame], metric: str) -> Floats | None:
    """Values ``[seeds, queries]`` of a metric; None where a query of a seed has none."""
    if not all(metric in table for table in tables):
        return None
    values = np.stack([table[metric].to_numpy(dtype=np.float64) for table in tables])
    return values if np.isfinite(values).all() else None


def _verdict(known: bool, beats: Flags, rules: Rules) -> dict[str, Any]:
    """Status and reason of a row that is no reference; ``beats`` says of each row of the gate whether it is beaten."""
    if not known:
        return {"status": "unranked", "reason": f"has no {rules.headline} of every query"}
    if not len(beats):
        return {"status": "unranked", "reason": f"there is no complete run of {rules.gate} to compare with"}
    if not beats.all():
        return {"status": "adversarial", "reason": f"{rules.headline} is not above that of {rules.gate} beyond chance"}
    return {"status": "ranked"}


def _criteria(rows: Sequence[Row], rules: Rules) -> Floats:
    """What the Pareto front is over, ``[rows, criteria]``, less being better; what no row has is left out."""
    signs = {name: -1 if name != SECONDS and metric_of(name).direction == "higher" else 1 for name in rules.pareto}
    table = np.array([[sign * row.value(name) for name, sign in signs.items()] for row in rows])
    table = table.reshape(len(rows), len(signs))
    return np.asarray(table[:, ~np.isnan(table).all(axis=0)])


def _with_aggregates(rows: list[Row], tables: Sequence[Sequence[pd.DataFrame]], rules: Rules) -> list[Row]:
    """Rows with their aggregate, blank where they or the method that counts as far have no distances."""
    distances = [_values(each, rules.distance) for each in tables]
    far = next((d for row, d in zip(rows, distances, strict=True) if d is not None and row.refers_to(rules.far)), None)
    if far is None:
        return rows
    found = []
    for row, each, distance in zip(rows, tables, distances, strict=True):
        agreed = _values(each, rules.headline)
        if agreed is not None and distance is not None:
            found.append(replace(row, aggregate=convincing_closeness(agreed, distance, far.mean(axis=0))))
        else:
            found.append(row)
    return found
