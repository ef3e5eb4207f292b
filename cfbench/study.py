"""A study: a grid of runs that a TOML file declares."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cfbench.errors import InvalidParameter, MissingResource, placed
from cfbench.harness import OnAdvance, evaluate
from cfbench.keys import run_key, run_path
from cfbench.method import Method
from cfbench.protocols import check_protocols
from cfbench.record import FILE, Record
from cfbench.registry import METHODS, METRICS, load_dataset, metric_of
from cfbench.task import Task
from cfbench.toml_file import read_toml

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
"""What names files: letters, digits, hyphens and underscores."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Row(_Model):
    """A method with fixed parameters ``set``, once for every combination of the values in ``grid``."""

    method: str
    label: str | None = None
    set: dict[str, Any] = {}
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}

    def expanded(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Label and parameters of every combination; the label is made of the method and the grid's values."""
        for values in itertools.product(*self.grid.values()):
            chosen = dict(zip(self.grid, values, strict=True))
            settings = " ".join(f"{name}={value}" for name, value in chosen.items())
            yield f"{self.label or self.method} {settings}".strip(), self.set | chosen


class Part(_Model):
    """Rows that are compared with the first of them, on each of some tasks.

    ``metrics`` takes the place of the study's. Other fields are arguments of :class:`cfbench.task.Task` and
    :func:`cfbench.harness.evaluate`; seeds are 0 to N - 1.
    """

    name: Name
    title: str = ""
    tasks: Annotated[list[str], Field(min_length=1)]
    targets: Literal["near", "any"] = "near"
    split: Literal["test", "validation"] = "test"
    classifier: str | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    seeds: Annotated[int, Field(ge=1)] = 1
    protocols: list[str] = []
    metrics: Annotated[list[str], Field(min_length=1)] | None = None
    row: Annotated[list[Row], Field(min_length=1)]


class _File(_Model):
    title: str
    metrics: Annotated[list[str], Field(min_length=1)]
    part: Annotated[list[Part], Field(min_length=1)]


_TABLES: dict[tuple[str, ...], type[_Model]] = {(): _File, ("part",): Part, ("part", "row"): Row}
"""Which model a table of the file is read by."""


@dataclass(frozen=True)
class Cell:
    """One row of a part on one task: ``part.seeds`` runs of a method with its parameters.

    ``task`` is the task as the file names it, ``dataset`` the name of its data set, as files are named.
    """

    part: Part
    task: str
    dataset: str
    label: str
    method: str
    parameters: Mapping[str, Any]

    @property
    def file(self) -> str:
        """The label as a part of file names."""
        return re.sub(r"[^A-Za-z0-9_.=-]+", "-", self.label).strip("-.")

    def create(self) -> Method:
        """The method with its parameters."""
        made: Method = METHODS.load(self.method).create(self.parameters)
        return made


@dataclass(frozen=True)
class Study:
    """A checked study: its title, the metrics of most of its tables, its parts, and the cells of all parts in order."""

    title: str
    metrics: Sequence[str]
    parts: Sequence[Part]
    cells: Sequence[Cell]

    @classmethod
    def read(cls, path: Path) -> Study:
        """Read the TOML file of a study and check every name and parameter in it.

        Raises:
            MissingResource: there is no such file. CfbenchError: it is not TOML, has an unknown key or a value of the
                wrong type, or names a method, parameter, task, metric or protocol that there is not; each error names
                the file and the key.
        """
        if not path.is_file():
            raise MissingResource(f"{path} is missing; give the TOML file of a study")
        try:
            file = _File.model_validate(read_toml(path))
        except ValidationError as error:
            raise InvalidParameter(f"{path}: {_first(error)}") from error
        with placed(f"{path}: metrics"):
            _known(file.metrics)
        with placed(f"{path}: part"):
            _distinct("parts are called", [part.name for part in file.part])
        cells = [cell for index, part in enumerate(file.part) for cell in _cells(path, f"part[{index}]", part)]
        return cls(file.title, tuple(file.metrics), tuple(file.part), tuple(cells))

    def metrics_of(self, part: Part) -> Sequence[str]:
        """The metrics of a part's tables."""
        return part.metrics or self.metrics

    def matching(self, pattern: str) -> list[Cell]:
        """The cells whose part, task or label, or all three with slashes between, fit a shell pattern.

        Raises:
            InvalidParameter: none does.
        """
        found = [
            cell
            for cell in self.cells
            for names in [(cell.part.name, cell.dataset, cell.label)]
            if any(fnmatch(name, pattern) for name in (*names, "/".join(names)))
        ]
        if not found:
            there = ", ".join(dict.fromkeys(f"{cell.part.name}/{cell.dataset}" for cell in self.cells))
            raise InvalidParameter(f"nothing is called {pattern!r}; expected a pattern for one of {there}, or of a row")
        return found


def _known(metrics: Sequence[str]) -> None:
    for metric in metrics:
        metric_of(metric)


def _first(error: ValidationError) -> str:
    """The key that is wrong first, and what was expected there."""
    first = error.errors()[0]
    key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"]).lstrip(".")
    if first["type"] == "extra_forbidden":
        table = _TABLES[tuple(step for step in first["loc"][:-1] if isinstance(step, str))]
        return f"{key} is unknown; expected one of {', '.join(table.model_fields)}"
    return f"{key}: {first['msg']}"


def _distinct(what: str, names: Sequence[str]) -> None:
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise InvalidParameter(f"{count} {what} {name!r}; give each a name of its own")


def _cells(path: Path, key: str, part: Part) -> Iterator[Cell]:
    """The checked cells of a part, task by task."""
    with placed(f"{path}: {key}.metrics"):
        _known(part.metrics or [])
    with placed(f"{path}: {key}.protocols"):
        check_protocols(part.protocols)
    with placed(f"{path}: {key}.tasks"):
        datasets = {task: load_dataset(task) for task in part.tasks}
        _distinct("tasks are called", [datasets[task].name for task in part.tasks])
    if part.classifier:
        with placed(f"{path}: {key}.classifier"):
            for dataset in datasets.values():
                dataset.entry(part.classifier)
    rows: list[tuple[str, str, dict[str, Any]]] = []
    for index, row in enumerate(part.row):
        with placed(f"{path}: {key}.row[{index}]"):
            if both := sorted(row.set.keys() & row.grid.keys()):
                raise InvalidParameter(f"parameter {both[0]} is in set and in grid; give it in one of them")
            kind = METHODS.load(row.method)
            for label, parameters in row.expanded():
                kind.create(parameters)
                rows.append((label, row.method, parameters))
    cells = [Cell(part, task, datasets[task].name, *row) for task in part.tasks for row in rows]
    with placed(f"{path}: {key}.row"):
        _distinct("rows are called", [cell.file for cell in cells if cell.task == part.tasks[0]])
    yield from cells


@cache
def _task(key: str, targets: str, split: str, classifier: str | None, device: str) -> Task:
    return Task(load_dataset(key), targets=targets, split=split, classifier=classifier, device=device)


def task_of(cell: Cell, device: str = "cpu") -> Task:
    """The task of a cell, made once.

    Raises:
        CfbenchError: its frozen files are missing or damaged.
    """
    part = cell.part
    return _task(cell.task, part.targets, part.split, part.classifier, device)


def folder_of(cell: Cell, seed: int, root: Path) -> Path:
    """Where a run of a cell is stored, by the content of its key.

    Raises:
        CfbenchError: a network that the run needs is not there.
    """
    return run_path(root, run_key(cell.create(), task_of(cell), seed=seed))


def finished(cell: Cell, folder: Path) -> Record | None:
    """The record of a run if it has all the queries and protocols that the cell asks for.

    Raises:
        CorruptFile: the record is damaged.
    """
    if not (folder / FILE).is_file():
        return None
    record = Record.read(folder)
    wanted = min(cell.part.limit or record.queries.expected, record.queries.expected)
    enough = record.queries.requested >= wanted and set(cell.part.protocols) <= set(record.protocols)
    return record if enough else None


def complete(cell: Cell, seed: int, *, root: Path, device: str = "cpu", on_advance: OnAdvance) -> bool:
    """Make or go on with one run of a cell, unless it is finished and scored by the metrics that are registered.

    What the run's folder already has beyond the cell, queries or protocols of another study, stays.

    Returns:
        Whether anything was left to do.

    Raises:
        CfbenchError: the run cannot be made.
    """
    folder = folder_of(cell, seed, root)
    if (record := finished(cell, folder)) and _up_to_date(record):
        return False
    held = Record.read(folder).protocols if (folder / FILE).is_file() else []
    evaluate(
        cell.create(),
        task_of(cell, device),
        root=root,
        seed=seed,
        limit=cell.part.limit,
        protocols=list(dict.fromkeys([*held, *cell.part.protocols])),
        on_advance=on_advance,
    )
    return True


def _up_to_date(record: Record) -> bool:
    """Whether a record has scores of every registered metric in its present version."""
    found = {name.partition("[")[0]: next(iter(scores.values())).version for name, scores in record.scores.items()}
    return found == {name: METRICS.load(name).version for name in METRICS.names()}
