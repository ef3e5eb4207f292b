"""What a study's finished runs come to: a Markdown table a part and task, a CSV file a part, copies of the records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cfbench.comparison import Group, Run, compare, pooled
from cfbench.errors import CfbenchError
from cfbench.files import canonical_json, write_text
from cfbench.markdown import markdown_table, number
from cfbench.record import Score
from cfbench.registry import metric_of
from cfbench.study import Cell, Part, Study, finished, folder_of

COLUMNS = ("part", "task", "row", "seed", "metric", "value", "low", "high", "n")
"""Of the CSV file of a part; low and high are the 95 % interval."""

VERDICTS = {"A better": "**better**", "B better": "**worse**"}


@dataclass(frozen=True)
class Line:
    """A cell with those of its runs that are finished, in the order of their seeds."""

    cell: Cell
    runs: tuple[Run, ...]

    @property
    def group(self) -> Group:
        """Its runs under its label."""
        return Group(self.cell.label, self.runs)


def lines_of(cells: Sequence[Cell], root: Path) -> list[Line]:
    """Cells with their finished runs below ``root``.

    Raises:
        CorruptFile: a record or query table is damaged.
    """
    return [Line(cell, tuple(_runs(cell, root))) for cell in cells]


def _runs(cell: Cell, root: Path) -> Iterator[Run]:
    for seed in range(cell.part.seeds):
        try:
            folder = folder_of(cell, seed, root)
        except CfbenchError:  # what the run needs is not here, so that it could not be made either
            continue
        if finished(cell, folder):
            yield Run.read(folder)


def write_records(lines: Sequence[Line], out: Path) -> None:
    """Write the record of every run, slim, to ``records/<part>/<task>/<row>-seed<k>.json`` below ``out``."""
    for line in lines:
        folder = out / "records" / line.cell.part.name / line.cell.dataset
        for run in line.runs:
            name = f"{line.cell.file}-seed{run.record.key.seed}.json"
            write_text(folder / name, canonical_json(run.record.slim()) + "\n")


def write_csv(study: Study, part: Part, lines: Sequence[Line], out: Path) -> Path:
    """Write every score of the study's metrics over all queries of a part's runs to ``<part>.csv``; blank: no value."""
    rows = []
    for line in lines:
        for run in line.runs:
            for metric in study.metrics_of(part):
                if score := run.record.scores.get(metric, {}).get("all"):
                    low, high = score.ci95 or (None, None)
                    key = (part.name, line.cell.dataset, line.cell.label, run.record.key.seed, metric)
                    rows.append((*key, score.value, low, high, score.n))
    path = out / f"{part.name}.csv"
    write_text(path, pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False))
    return path


def write_table(study: Study, lines: Sequence[Line], out: Path) -> Path:
    """Write the Markdown table of one part and task to ``<part>-<task>.md``.

    Args:
        lines: all rows of the part on the task, the first being the baseline; at least one has a run.
    """
    cell = lines[0].cell
    key = next(run.record.key for line in lines for run in line.runs)
    there = [line for line in lines if line.runs]
    metrics = study.metrics_of(cell.part)
    sections = [
        f"# {study.title}\n",
        f"## {cell.part.title or cell.part.name}: {key.task}\n",
        f"Network explained: `{key.classifier}`. Targets `{key.targets}`, {key.split} queries, n of them a run. 95 % "
        "intervals in brackets; an arrow says which way is better; ≈ is a bias-corrected value, which the interval is "
        "about. Failed queries count as unchanged and not flipped.\n",
        _values(metrics, there),
        *_notes(metrics, lines),
        *_differences(metrics, lines),
    ]
    path = out / f"{cell.part.name}-{cell.dataset}.md"
    write_text(path, "\n".join(sections))
    return path


def _head(metric: str) -> str:
    return f"{metric} {'↑' if metric_of(metric).direction == 'higher' else '↓'}"


def _interval(low: float, high: float) -> str:
    return f" [{number(low)}, {number(high)}]"


def _value(score: Score | None, count: int) -> str:
    if score is None or score.value is None:
        return ""
    corrected = "" if score.corrected is None else f" ≈ {number(score.corrected)}"
    interval = _interval(*score.ci95) if score.ci95 else ""
    return f"{number(score.value)}{corrected}{interval}" + ("" if score.n == count else f" (n = {score.n})")


def _values(metrics: Sequence[str], lines: Sequence[Line]) -> str:
    """The table of scores, a row a cell."""
    rows = []
    for line in lines:
        count = line.runs[0].record.queries.requested
        scores = [_value(pooled(line.group, metric), count) for metric in metrics]
        rows.append([f"`{line.cell.label}`", str(len(line.runs)), str(count), *scores])
    return markdown_table(["row", "seeds", "n", *map(_head, metrics)], rows)


def _notes(metrics: Sequence[str], lines: Sequence[Line]) -> Iterator[str]:
    """What the table does not say: runs that are not there, failed queries, floors, and why scores are blank."""
    notes: dict[str, list[str]] = {}
    for line in lines:
        label, part = f"`{line.cell.label}`", line.cell.part
        if len(line.runs) < part.seeds:
            notes.setdefault("not run", []).append(f"{label} ({part.seeds - len(line.runs)} of {part.seeds} seeds)")
        if failed := sum(run.record.queries.failed for run in line.runs):
            notes.setdefault("failed queries", []).append(f"{label} {failed}")
        for metric in metrics if line.runs else ():
            score = pooled(line.group, metric)
            if score is None or score.value is None:
                reason = score.reason if score else "not in its record"
                notes.setdefault(f"blank, {reason}", []).append(f"{metric} of {label}")
            elif score.floor is not None:
                notes.setdefault("what as many real images score", []).append(f"{metric} {number(score.floor)}")
    if notes:
        there = [f" of `{line.cell.label}`" for line in lines if line.runs]
        yield "".join(f"- {what}: {', '.join(_together(where, there))}\n" for what, where in notes.items())


def _together(where: Sequence[str], rows: Sequence[str]) -> list[str]:
    """What a note is about, each once; a metric of which it holds in all ``rows`` stands for itself."""
    kept = dict.fromkeys(where)
    for metric in dict.fromkeys(each.partition(" of `")[0] for each in where):
        if len(rows) > 1 and all(f"{metric}{row}" in kept for row in rows):
            kept = dict.fromkeys(metric if each.startswith(f"{metric} of `") else each for each in kept)
    return list(kept)


def _differences(metrics: Sequence[str], lines: Sequence[Line]) -> Iterator[str]:
    """The section that compares every row with the first; nothing where there is nothing to compare."""
    groups = [line.group for line in lines if line.runs]
    scored = {
        name for group in groups for name in metrics if (score := pooled(group, name)) and score.value is not None
    }
    tested = [name for name in metrics if name in scored and metric_of(name).family != "cost"]
    if not lines[0].runs or len(groups) < 2 or not tested:
        return
    table = compare(groups, metrics=tested, against_first=True)
    rows = []
    for label, found in table.groupby("a", sort=False):
        cells = {row["metric"]: _difference(row) for row in found.to_dict("records")}
        rows.append([f"`{label}`", *(cells.get(metric, "") for metric in tested)])
    seeds = "" if len(lines[0].runs) > 1 else " Of one seed, a difference holds for that seed."
    yield f"### Against `{groups[0].label}`\n"
    yield (
        "Row minus baseline on the queries that both explained. **better**, **worse**: p < .05 after Holm's correction "
        f"over the {int(table['p_holm'].notna().sum())} comparisons of this table; intervals are 95 % each, "
        f"uncorrected.{seeds}\n"
    )
    yield markdown_table(["row", *map(_head, tested)], rows)
    blank = table[table["p_holm"].isna()].groupby("verdict", sort=False)["metric"].unique()
    if len(blank):
        yield "".join(f"- {reason}: {', '.join(names)}\n" for reason, names in blank.items())


def _difference(row: dict[Any, Any]) -> str:
    if pd.isna(row["p_holm"]):
        return "-"
    interval = "" if pd.isna(row["low"]) else _interval(row["low"], row["high"])
    return f"{number(row['difference'])}{interval} {VERDICTS.get(row['verdict'], row['verdict'])}"
