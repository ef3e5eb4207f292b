"""What every figure of a board is drawn from: its rows with their styles and estimates, and names in words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cfbench.board.boards import Board, is_reference
from cfbench.board.closeness import LABEL
from cfbench.board.ranking import Row
from cfbench.board.rules import SECONDS, Rules
from cfbench.comparison import Group, pooled
from cfbench.dataset import Dataset
from cfbench.markdown import printable
from cfbench.record import Score
from cfbench.registry import metric_of
from cfbench.report.style import Palette, Style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLOSENESS = "closeness"
"""Name of the board's aggregate in tables; it is no metric."""

LONGEST = 26
"""Characters of a row's name in figures; longer ones are cut."""

COLUMNS = ("board", "row", "method", "parameters", "status", "seeds", "metric", "value", "low", "high", "n")
"""Of the data behind most figures; ``low`` and ``high`` are the 95 % interval, blank where none is known to cover."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, None where none is known to cover, over ``n`` queries."""

    value: float
    interval: tuple[float, float] | None = None
    n: int = 0


@dataclass(frozen=True, eq=False)
class Item:
    """A row of a board as it is drawn: ``label`` is its name on one line, cut where it is long."""

    row: Row
    label: str
    style: Style
    is_reference: bool

    @property
    def name(self) -> str:
        """The label with what a reader must know of a row that is not ranked."""
        known = {"adversarial": "adv.", "partial": "partial"}.get(self.row.status)
        notes = [*(["ref."] if self.is_reference else []), *([known] if known else [])]
        return f"{self.label} ({', '.join(notes)})" if notes else self.label

    def estimate(self, name: str) -> Estimate | None:
        """A metric's score over all queries, the seconds a query or the aggregate; None where there is none."""
        row = self.row
        if name == SECONDS:
            return None if row.seconds is None else Estimate(row.seconds, n=row.record.queries.done)
        if name == CLOSENESS:
            mean = row.aggregate
            return Estimate(mean.value, mean.interval, mean.n) if mean else None
        score = self.score(name)
        if score is None or score.value is None:
            return None
        return Estimate(score.value, score.ci95, score.n)

    def score(self, metric: str) -> Score | None:
        """The score of a metric, pooled over seeds; None where no seed has it."""
        shown = self.row.scores.get(metric)
        return shown or pooled(Group(self.row.label, tuple(entry.run for entry in self.row.entries)), metric)


@dataclass(frozen=True)
class Scene:
    """A board with the styles of its rows; ``dataset`` is None where this release does not know it."""

    board: Board
    rules: Rules
    dataset: Dataset | None
    items: tuple[Item, ...]

    @property
    def question(self) -> str:
        """What all rows explain, in words."""
        key = self.board.record.key
        network = "" if key.classifier == "classifier" else f", network explained {key.classifier}"
        return printable(f"{key.task}, targets {key.targets}{network}, {self.board.n:,} {key.split} queries")

    @property
    def whole(self) -> tuple[Item, ...]:
        """Rows that have explained all queries."""
        return tuple(item for item in self.items if item.row.status != "partial")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; none where the data set is not known."""
        return self.dataset.classes if self.dataset else ()

    def label(self, name: str) -> str:
        """A metric, the seconds or the aggregate as the board calls them."""
        return {SECONDS: "seconds a query", CLOSENESS: LABEL, **self.rules.metrics}.get(name, name.replace("_", " "))

    def head(self, name: str) -> str:
        """The label with an arrow to the better side."""
        return f"{self.label(name)} {'↑' if is_higher_better(name) else '↓'}"

    def scored(self, names: Iterable[str]) -> list[str]:
        """Those of the names of which a row has a value."""
        return [name for name in dict.fromkeys(names) if any(item.estimate(name) for item in self.items)]

    def table(self, items: Sequence[Item], names: Sequence[str]) -> pd.DataFrame:
        """The data behind a figure, ``COLUMNS``: a line a row and name; blank where a row has no value."""
        lines = []
        for item, name in ((item, name) for item in items for name in names):
            found = item.estimate(name) or Estimate(np.nan)
            low, high = found.interval or (np.nan, np.nan)
            lines.append((*facts(self.board, item), name, found.value, low, high, found.n))
        return pd.DataFrame(lines, columns=list(COLUMNS))


def facts(board: Board, item: Item) -> tuple[object, ...]:
    """What the data of every figure says of a row, the first of ``COLUMNS`` up to ``seeds``."""
    row, key = item.row, item.row.record.key
    return (
        board.name,
        printable(row.label),
        printable(key.method),
        json.dumps(key.parameters, sort_keys=True),
        row.status,
        len(row.entries),
    )


def is_higher_better(name: str) -> bool:
    """Whether more of a metric, the seconds or the aggregate is better."""
    return name == CLOSENESS or (name != SECONDS and metric_of(name).direction == "higher")


def palette_of(boards: Sequence[Board], rules: Rules) -> Palette:
    """The styles of all methods on some boards."""
    return Palette(_kind(row, rules) for board in boards for row in board.rows)


def _kind(row: Row, rules: Rules) -> tuple[str, bool]:
    return row.record.key.method, is_reference(row.entries[0], rules)


def scene_of(board: Board, rules: Rules, palette: Palette, dataset: Dataset | None) -> Scene:
    """A board ready to be drawn; settings of one method share colour and marker and differ in how it is filled."""
    seen: Counter[tuple[str, bool]] = Counter()
    names: Counter[str] = Counter()
    items = []
    for row in board.rows:
        kind = _kind(row, rules)
        label = _cut(printable(row.label))
        names[label] += 1
        label = label if names[label] == 1 else f"{label} #{names[label]}"
        items.append(
            Item(row, label, palette.style(*kind, setting=seen[kind], hollow=row.status == "partial"), kind[1])
        )
        seen[kind] += 1
    return Scene(board, rules, dataset, tuple(items))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


@dataclass(frozen=True)
class Plate:
    """A figure with its caption in plain text and the data behind it; ``name`` is that of its files."""

    name: str
    title: str
    caption: str
    data: pd.DataFrame
    figure: Figure


@dataclass(frozen=True)
class LeftOut:
    """A figure that is not drawn, and why."""

    name: str
    title: str
    reason: str
