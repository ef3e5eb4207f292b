"""Boards: entries that may be compared with each other, and their rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cfbench.board.entries import Entry
from cfbench.board.ranking import STATUSES, Row, Status, ranked
from cfbench.board.rules import Rules
from cfbench.comparison import Group, Run, grouped, pooled
from cfbench.keys import run_path
from cfbench.record import Record, Score
from cfbench.task import TARGET_RULES

REFERENCE_TRACK = "reference"
"""Track of methods that know the answer, see :class:`cfbench.needs.Needs`."""


@dataclass(frozen=True)
class Board:
    """Rows that are ranked together: same task, target rule, split, network explained and judges.

    Attributes:
        name: unique among the boards, such as ``mnist@v1-near``. n: queries of the split. rows: the ranked first.
    """

    name: str
    n: int
    rows: tuple[Row, ...]

    @property
    def record(self) -> Record:
        """A record of the board, for what all of them share."""
        return self.rows[0].record


def boards_of(entries: Sequence[Entry], rules: Rules) -> list[Board]:
    """Entries as boards, each ranked.

    Entries go together if the question is the same (task, targets, split with its hash, network explained with its
    hash) and the deciding metrics, as far as they have them, were computed by the same versions and networks. Tasks of
    ``rules.first`` come first, then those with the most entries; of a task its own classifier, and the usual target
    rule.

    Raises:
        CorruptFile: entries of one board explain different queries.
    """
    questions: defaultdict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        questions[_question(entry.record)].append(entry)
    sizes = Counter(entry.record.key.task for entry in entries)
    places = {task: place - len(rules.first) for place, task in enumerate(rules.first)}
    ordered = sorted(
        questions, key=lambda question: (places.get(question[0], 0), -sizes[question[0]], *_order(question))
    )
    parts = [part for question in ordered for part in _by_judges(questions[question], rules)]
    seen: Counter[str] = Counter()
    found = []
    for part in parts:
        name = run_path(Path(), part[0].record.key).parent.name
        seen[name] += 1
        found.append(_board(name if seen[name] == 1 else f"{name}-{seen[name]}", part, rules))
    return found


def _question(record: Record) -> tuple[str, ...]:
    key = record.key
    return (key.task, key.classifier, key.targets, key.split, key.split_hash, key.networks.get(key.classifier, ""))


def _order(question: tuple[str, ...]) -> tuple[object, ...]:
    task, classifier, targets, *rest = question
    return (task, classifier, (*TARGET_RULES, targets).index(targets), *rest)


def _by_judges(entries: Sequence[Entry], rules: Rules) -> list[list[Entry]]:
    """Entries of one question as parts that agree in the versions and networks behind their deciding metrics.

    The most common judges come first, so that an entry that lacks some metrics goes with most of the others.
    """
    judges = [_judges(entry.record, rules) for entry in entries]
    counts = Counter(frozenset(each.items()) for each in judges)
    order = sorted(range(len(entries)), key=lambda index: -counts[frozenset(judges[index].items())])
    parts: list[tuple[dict[str, tuple[int, str | None]], list[int]]] = []
    for index in sorted(order, key=lambda index: -len(judges[index])):
        mine = judges[index]
        agreeing = (part for part in parts if all(part[0].get(name, judge) == judge for name, judge in mine.items()))
        known, part = next(agreeing, ({}, []))
        if not part:
            parts.append((known, part))
        known |= mine
        part.append(index)
    return [[entries[index] for index in sorted(part)] for _, part in sorted(parts, key=lambda each: -len(each[1]))]


def _judges(record: Record, rules: Rules) -> dict[str, tuple[int, str | None]]:
    """Version and networks of each deciding metric that a record has."""
    found = {name: record.scores.get(name, {}).get("all") for name in rules.deciding}
    return {name: (score.version, score.network) for name, score in found.items() if score}


def _board(name: str, entries: Sequence[Entry], rules: Rules) -> Board:
    """The board of entries that may be compared; a method's complete seeds are a row, and each partial run is one."""
    n = max(entry.record.queries.expected for entry in entries)
    by_path = {entry.run.path: entry for entry in entries}
    versions = _versions(entries)

    def row(label: str, runs: Sequence[Run], status: Status) -> Row:
        group = Group(label, tuple(runs))
        scores = {metric: score for metric in rules.metrics if (score := _score(group, metric, versions)) is not None}
        return Row(label, tuple(by_path[run.path] for run in runs), scores, status)

    whole, partial = [], []
    for group in grouped([entry.run for entry in entries]):
        complete = [run for run in group.runs if _is_complete(run, n)]
        if complete:
            whole.append(row(group.label, complete, _first_status(by_path[complete[0].path], rules)))
        for run in (run for run in group.runs if not _is_complete(run, n)):
            reason = f"has explained {run.record.queries.done:,} of {n:,} queries"
            partial.append(replace(row(group.label, [run], "partial"), reason=reason))
    rows = [*ranked(whole, rules), *partial]
    return Board(name, n, tuple(sorted(rows, key=lambda each: _place(each, rules))))


def _is_complete(run: Run, n: int) -> bool:
    return run.record.queries.done == run.record.queries.requested == n


def _first_status(entry: Entry, rules: Rules) -> Status:
    """What is known of a complete row before it is compared."""
    return "reference" if is_reference(entry, rules) else "unranked"


def is_reference(entry: Entry, rules: Rules) -> bool:
    """Whether an entry shows what scores mean, complete or not: the keepers' own, or one that knows the answer."""
    is_own = entry.submission is None and entry.record.key.method in rules.references
    return is_own or entry.record.card.track == REFERENCE_TRACK


def _versions(entries: Sequence[Entry]) -> dict[str, int]:
    """The newest version of each metric on a board."""
    found: dict[str, int] = {}
    for entry in entries:
        for metric, subsets in entry.record.scores.items():
            found[metric] = max(found.get(metric, 0), *(score.version for score in subsets.values()))
    return found


def _score(group: Group, metric: str, versions: Mapping[str, int]) -> Score | None:
    """The pooled score, blank where other rows have a newer version of the metric."""
    score = pooled(group, metric)
    if score is None or score.version == versions[metric]:
        return score
    reason = f"of version {score.version} of the metric, other rows have {versions[metric]}: score the run again"
    return score.model_copy(update={"value": None, "ci95": None, "reason": reason})


def _place(row: Row, rules: Rules) -> tuple[object, ...]:
    """Where a row stands among those of its board."""
    return ([*STATUSES].index(row.status), row.rank or (), -np.nan_to_num(row.value(rules.headline)), row.label)
