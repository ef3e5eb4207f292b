"""What a submission says beside what its images give here: equal, or equal up to the noise of another machine."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.lib
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cfbench.board.archive import Refused
from cfbench.record import FILE, TABLE, Record, Score

NOISE = 1e-3
"""Relative difference that sums in another order, on another processor, may make of a score."""

FLOOR = 1e-6
"""Difference that is nothing whatever the value: distances that vanish but for rounding."""

BORDERLINE = 0.005
"""Share of the queries that may lie so near to a boundary that a network says otherwise on another machine."""


def check_table(submitted: Path, computed: Path) -> int:
    """The submitted query table must be the one that the images give.

    Returns:
        How many queries a network judges otherwise here; at most ``BORDERLINE`` of them.

    Raises:
        Refused: another form, other queries or other values; names the first.
    """
    expected = pd.read_parquet(computed)
    found = _read_table(submitted, computed, len(expected))
    for position, (given, asked) in enumerate(zip(found["query_id"], expected["query_id"], strict=True)):
        if given != asked:
            raise Refused(f"{TABLE} has query {str(given)[:60]!r} in row {position}; expected {asked!r}")
    judged = [name for name in map(str, expected) if name == "flipped" or name.endswith("prediction")]
    moved = (found[judged] != expected[judged]).any(axis=1).to_numpy()
    if moved.sum() > BORDERLINE * len(expected):
        query = expected["query_id"][int(moved.argmax())]
        raise Refused(
            f"{TABLE}: {int(moved.sum())} of {len(expected)} queries are judged otherwise here, first {query}; the "
            "table is not of these images"
        )
    for name in expected:
        wrong = _differs(found[name], expected[name]) & ~moved
        if wrong.any():
            row = int(wrong.argmax())
            raise Refused(
                f"{TABLE}: {name} of {expected['query_id'][row]} is {str(found[name][row])[:80]}; the images give "
                f"{str(expected[name][row])[:80]}"
            )
    return int(moved.sum())


def _read_table(path: Path, computed: Path, rows: int) -> pd.DataFrame:
    """A table whose columns, types and rows are those of the computed one, which its footer must say before it is
    read."""
    try:
        with pq.ParquetFile(path) as file:
            found, expected = _columns(file.schema_arrow), _columns(pq.read_schema(computed))
            if found != expected:
                odd = min({*found.items()} ^ {*expected.items()}, default=("its columns", "in another order"))
                raise Refused(f"{TABLE} has other columns than the images give, first {odd[0]} ({odd[1]})")
            size = sum(file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
            if file.metadata.num_rows != rows or size > 100 * computed.stat().st_size:
                raise Refused(f"{TABLE} has {file.metadata.num_rows} rows in {size} bytes; expected {rows} rows")
            table: pd.DataFrame = file.read().to_pandas(ignore_metadata=True)
    except (pyarrow.lib.ArrowException, OSError, ValueError) as error:
        raise Refused(f"{TABLE} is not a readable Parquet file: {str(error).partition(chr(10))[0][:200]}") from error
    if len(table) != rows:
        raise Refused(f"{TABLE} has {len(table)} rows; expected {rows}")
    return table


def _columns(schema: Any) -> dict[str, str]:
    """Types of the columns by name; long and short strings are the same."""
    return {field.name: str(field.type).removeprefix("large_") for field in schema}


def _differs(found: pd.Series, expected: pd.Series) -> NDArray[np.bool_]:
    if expected.dtype.kind != "f":
        return np.asarray(found.to_numpy() != expected.to_numpy(), dtype=bool)
    close = np.isclose(found, expected, rtol=NOISE, atol=FLOOR, equal_nan=True)
    return np.asarray(~close)


def check_record(submitted: Record, computed: Record, *, moved: int, blocked: Container[str]) -> list[str]:
    """Everything in a record that follows from the images must be what they give.

    Args:
        moved: queries that a network judges otherwise here, each of which may move a score by its share.
        blocked: scores that cannot be computed here, for want of weights or packages.

    Returns:
        Those of ``blocked`` of which the submitted record has a value, which is not checked.

    Raises:
        Refused: a difference; names it.
    """
    for field in ("status", "queries", "cost"):
        given, made = getattr(submitted, field), getattr(computed, field)
        if given != made:
            raise Refused(f"{FILE}: {field} is {given!r}; the images give {made!r}")
    if odd := {*submitted.scores} ^ {*computed.scores}:
        raise Refused(f"{FILE} was scored by another release: {min(odd)!r} is in one only; run cfbench score RUN")
    slack = moved / computed.queries.requested
    unchecked = []
    for name, subsets in computed.scores.items():
        if {*submitted.scores[name]} != {*subsets}:
            raise Refused(f"{FILE}: {name} is scored on {sorted(submitted.scores[name])}; expected {sorted(subsets)}")
        for subset, score in subsets.items():
            given = submitted.scores[name][subset]
            if name in blocked:
                unchecked += [name] if given.value is not None else []
            elif given.value is not None or score.value is None:
                _check_score(f"{name}, {subset}", given, score, moved=moved, slack=slack)
    return sorted({*unchecked})


def _check_score(place: str, given: Score, score: Score, *, moved: int, slack: float) -> None:
    found, expected = (_leaves(each.model_dump(exclude={"reason"})) for each in (given, score))
    for part in sorted({*found} | {*expected}):
        left, right = found.get(part), expected.get(part)
        close = left == right
        if isinstance(left, int) and isinstance(right, int):
            close = abs(left - right) <= moved
        elif isinstance(left, float) and isinstance(right, float):
            most = max(abs(left), abs(right))
            close = abs(left - right) <= FLOOR + 2 * slack + (NOISE + 10 * slack) * most
        if not close:
            raise Refused(f"{FILE}: {place}: {part} is {left!r}; the images give {right!r}")


def _leaves(value: Any, place: str = "") -> dict[str, Any]:
    """The parts of nested mappings and sequences by their place."""
    match value:
        case dict():
            parts = value.items()
        case list() | tuple():
            parts = dict(enumerate(value)).items()
        case _:
            return {place: value}
    return {
        name: leaf
        for key, part in parts
        for name, leaf in _leaves(part, f"{place}.{key}" if place else str(key)).items()
    }
