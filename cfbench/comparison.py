"""Are methods different? Runs compared metric by metric on the queries that they share."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd

from cfbench.errors import InvalidParameter, RunMismatch, UnknownName
from cfbench.files import content_hash
from cfbench.metrics.base import FAMILIES, Metric
from cfbench.paired import Pair, paired_differences
from cfbench.query_table import read_query_table
from cfbench.record import Record, Score
from cfbench.registry import metric_of
from cfbench.stats import LEVEL, Floats, mean_interval

SUBSETS = ("all", "flipped")
QUESTION = ("task", "targets", "split", "split_hash", "classifier")
NO_DIFFERENCE = "no difference shown"


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its record, and its query table indexed by query and target."""

    path: Path
    record: Record
    table: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Read the record and the query table of a run folder.

        Raises:
            MissingResource: one of them is not there. CorruptFile: one is damaged, or they do not belong together.
        """
        record = Record.read(folder)
        return cls(folder, record, read_query_table(folder, record))


@dataclass(frozen=True)
class Group:
    """The runs of one method with one set of parameters, a seed each."""

    label: str
    runs: tuple[Run, ...]


def group_runs(folders: Sequence[Path]) -> list[Group]:
    """Read run folders and group those that differ only in their seed, in the order given.

    Raises:
        InvalidParameter: fewer than two folders, a run given twice, or seeds of one method only.
        RunMismatch: tasks, target rules or splits differ. MissingResource, CorruptFile: see :meth:`Run.read`.
    """
    if len(folders) < 2:
        raise InvalidParameter(f"comparing needs two or more run folders, got {len(folders)}")
    groups = grouped([Run.read(folder) for folder in folders])
    first, *others = [run for group in groups for run in group.runs]
    for other, name in itertools.product(others, QUESTION):
        here, there = getattr(first.record.key, name), getattr(other.record.key, name)
        if here != there:
            raise RunMismatch(
                f"{first.path} and {other.path} cannot be compared: {name} is {here!r} in the first, {there!r} in the "
                "second; give runs on the same task, target rule, split and classifier"
            )
    if len(groups) == 1:
        raise InvalidParameter(
            f"all {len(folders)} runs are seeds of one method, {first.record.key.method}; "
            "give runs of two methods or of two parameter settings"
        )
    return groups


def grouped(runs: Sequence[Run]) -> list[Group]:
    """Runs of one question as groups of those that differ only in their seed, in the order given.

    Raises:
        InvalidParameter: a run is given twice.
    """
    found: dict[str, list[Run]] = {}
    for run in runs:
        same = found.setdefault(content_hash(run.record.key.model_dump(mode="json", exclude={"seed"})), [])
        for other in same:
            if other.record.key.seed == run.record.key.seed:
                raise InvalidParameter(f"{other.path} and {run.path} hold the same run; give each run once")
        same.append(run)
    return [Group(label, tuple(runs)) for label, runs in zip(_labels(found), found.values(), strict=True)]


def _labels(found: dict[str, list[Run]]) -> list[str]:
    """Method names, with the parameters or else the start of the key's hash where those leave methods alike."""
    keys = {digest: runs[0].record.key for digest, runs in found.items()}
    labels = {}
    for digest, key in keys.items():
        alike = [other.parameters for other in keys.values() if other.method == key.method]
        differing = [name for name, value in key.parameters.items() if any(p.get(name) != value for p in alike)]
        settings = ",".join(f"{name}={key.parameters[name]}" for name in differing)
        labels[digest] = f"{key.method} {settings}".strip()
    counts = Counter(labels.values())
    return [label if counts[label] == 1 else f"{label} {digest[:8]}" for digest, label in labels.items()]


@dataclass(frozen=True)
class _Row:
    """One metric of one pair of groups: what to compare, or why it can't be."""

    metric: str
    a: Group
    b: Group
    pair: Pair | None = None
    n: int = 0
    reason: str = ""


def compare(
    groups: Sequence[Group],
    *,
    metrics: Sequence[str] | None = None,
    subset: str = "all",
    against_first: bool = False,
) -> pd.DataFrame:
    """Compare groups of runs pairwise, metric by metric, on shared queries.

    Failed queries count as unchanged and not flipped, as in the scores. Means of query values and jackknifed set
    distances are compared by :func:`cfbench.paired.paired_differences`, whose Holm correction spans all comparisons.

    Args:
        groups: two or more, from :func:`group_runs`.
        metrics: names; by default every registered metric that both groups have.
        subset: ``all``, or ``flipped``: the queries that every run of both groups flipped.
        against_first: compare each other group, as A, with the first one, as B, instead of all pairs.

    Returns:
        A row a pair and metric: ``metric, better, a, b, seeds_a, seeds_b, n, mean_a, mean_b, difference, low, high, p,
        p_holm, test, verdict``. The difference is A - B, ``low`` and ``high`` its 95 % interval, blank where none is
        known to cover: of two seeds, of few queries, or where few of them differ. Where a metric can't be compared, its
        numbers are blank and the verdict says why.

    Raises:
        InvalidParameter: unknown subset, or metrics that no run has on it. UnknownName: a metric that isn't registered.
        RunMismatch: two groups share no query.
    """
    if subset not in SUBSETS:
        raise InvalidParameter(f"unknown subset {subset!r}; choose {' or '.join(SUBSETS)}")
    scored = {name for group in groups for run in group.runs for name in run.record.scores}
    for name in metrics or ():
        metric_of(name)
        if name not in scored:
            raise InvalidParameter(f"no run has a score of {name}; choose among {', '.join(sorted(scored))}")
    classes = _registered(scored if metrics is None else set(metrics))
    pairs = ((group, groups[0]) for group in groups[1:]) if against_first else itertools.combinations(groups, 2)
    rows = [row for a, b in pairs for row in _rows(a, b, classes, subset)]
    if not rows:
        raise InvalidParameter(f"nothing to compare: no group has a value of {', '.join(classes)} on subset {subset}")
    differences = iter(paired_differences([row.pair for row in rows if row.pair]))
    results = []
    for row in rows:
        better = classes[row.metric].direction
        result: dict[str, object] = {"metric": row.metric, "better": better, "a": row.a.label, "b": row.b.label}
        result |= {"seeds_a": len(row.a.runs), "seeds_b": len(row.b.runs), "n": row.n}
        blank = dict.fromkeys(("mean_a", "mean_b", "difference", "low", "high", "p", "p_holm"), np.nan)
        result |= blank | {"test": "", "verdict": f"not comparable: {row.reason}"}
        if row.pair:
            found = next(differences)
            result |= {"mean_a": row.pair.a.mean(), "mean_b": row.pair.b.mean(), "difference": found.value}
            low, high = found.interval or (np.nan, np.nan)
            result |= {"low": low, "high": high, "p": found.p, "p_holm": found.corrected}
            result |= {"test": found.test, "verdict": _verdict(found.value, found.corrected, better)}
        results.append(result)
    return pd.DataFrame(results)


def _registered(names: set[str]) -> dict[str, type[Metric]]:
    """The metrics of these names that are registered here, by family; costs are no samples to be compared."""
    classes: dict[str, type[Metric]] = {}
    for name in sorted(names):
        try:
            classes[name] = metric_of(name)
        except UnknownName:
            continue
        if classes[name].family == "cost":
            del classes[name]
    return dict(sorted(classes.items(), key=lambda item: FAMILIES.index(item[1].family)))


def _verdict(difference: float, p: float, better: str) -> str:
    if p >= 1 - LEVEL or difference == 0:
        return NO_DIFFERENCE
    return "A better" if (difference > 0) == (better == "higher") else "B better"


def _on_shared_queries(runs: Sequence[Run]) -> list[pd.DataFrame]:
    """The query tables of runs, cut to the queries that all of them have, in the order of the first."""
    if all(run.table.index.equals(runs[0].table.index) for run in runs):
        return [run.table for run in runs]
    shared = reduce(lambda left, right: left.intersection(right, sort=False), (run.table.index for run in runs))
    return [run.table.loc[shared] for run in runs]


def _rows(a: Group, b: Group, classes: dict[str, type[Metric]], subset: str) -> list[_Row]:
    runs = (*a.runs, *b.runs)
    tables = _on_shared_queries(runs)
    if tables[0].empty:
        raise RunMismatch(f"{a.label} and {b.label} share no query; give runs that explain the same queries")
    if subset == "flipped":
        kept = np.logical_and.reduce([table["flipped"].to_numpy(dtype=bool) for table in tables])
        tables = [table[kept] for table in tables]
    rows = []
    for name in classes:
        if name not in a.runs[0].record.scores and name not in b.runs[0].record.scores:
            continue
        scores = [run.record.scores.get(name, {}).get(subset) for run in runs]
        if all(score is None or score.value is None for score in scores):
            continue
        rows.append(_row(name, a, b, scores, tables))
    return rows


def _row(name: str, a: Group, b: Group, scores: list[Score | None], tables: list[pd.DataFrame]) -> _Row:
    """The values of one metric, or the reason why the two groups can't be compared by it."""
    size, n = len(a.runs), len(tables[0])
    present = [score for score in scores if score is not None and score.value is not None]
    absent = [score is None or score.value is None for score in scores]
    replicates = {len(score.replicates or ()) for score in present}
    reason, values = "", np.empty((len(scores), 0))
    if any(absent):
        reason = f"no value in {'A' if any(absent[:size]) else 'B'}"
    elif len({score.version for score in present}) > 1:
        reason = "other version of the metric"
    elif len({score.network for score in present}) > 1:
        reason = "other network"
    elif per_query := all(name in table for table in tables):
        values = _query_values(name, tables)
        n = values.shape[1]
        reason = "" if n > 1 else "fewer than two shared queries with a value"
    elif len(replicates) > 1 or min(replicates) < 2:
        reason = "neither query values nor equal jackknife replicates"
    elif any(score.n != n for score in present):
        reason = "not over the shared queries alone"
    else:
        values = pseudo_values(present)
    if reason:
        return _Row(name, a, b, reason=reason)
    return _Row(name, a, b, pair=Pair(values[:size], values[size:], groups=not per_query), n=n)


def _query_values(name: str, tables: list[pd.DataFrame]) -> Floats:
    """Values ``[runs, queries]`` of a metric on the queries on which every run has one."""
    values = np.stack([table[name].to_numpy(dtype=np.float64) for table in tables])
    return np.asarray(values[:, ~np.isnan(values).any(axis=0)])


def pooled(group: Group, metric: str) -> Score | None:
    """The score of a metric over all queries and seeds of a group; None where no run has it.

    Of one seed, or of several that gave the same values, it is the score of the run. Of several it is their mean on the
    queries on which all have a value, with the interval of :func:`cfbench.stats.mean_interval`, which holds for new
    seeds too and is None of two.
    """
    scores = [score for run in group.runs if (score := run.record.scores.get(metric, {}).get("all"))]
    absent = next((score for score in scores if score.value is None), None)
    if len(scores) < len(group.runs) or absent:
        return absent
    first, corrected = scores[0], None
    if len(scores) == 1:
        return first
    value, n = float(np.mean([score.value for score in scores])), first.n
    values = np.empty((len(scores), 0))
    if all(metric in run.table for run in group.runs):
        values = _query_values(metric, _on_shared_queries(group.runs))
        value, n = float(values.mean()), values.shape[1]
    elif len({len(score.replicates or ()) for score in scores}) == 1 and first.replicates:
        values = pseudo_values(scores)
        corrected = float(values.mean()) if first.corrected is not None else None
    if values.size and (values == values[0]).all():
        return first
    interval = mean_interval(values)
    reason = None if interval else "no interval is known to cover"
    return first.model_copy(update={"value": value, "ci95": interval, "n": n, "corrected": corrected, "reason": reason})


def pseudo_values(scores: list[Score]) -> Floats:
    """Jackknife pseudo-values ``[runs, groups]``, whose mean is the corrected value where every run has one.

    Their paired t test is the paired jackknife: the variance of the mean is (K - 1) / K times the replicates' scatter.
    """
    corrected = all(score.corrected is not None for score in scores)
    centres = np.array([score.corrected if corrected else score.value for score in scores], dtype=np.float64)
    replicates = np.array([score.replicates for score in scores], dtype=np.float64)
    scatter = replicates - replicates.mean(axis=1, keepdims=True)
    return np.asarray(centres[:, None] - (replicates.shape[1] - 1) * scatter)
