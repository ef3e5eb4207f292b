"""The query table of a finished run: a row a query, whose columns are what metrics say of it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from pandas.api.types import infer_dtype
from pyarrow.lib import ArrowException

from cfbench.errors import CorruptFile, MissingResource
from cfbench.record import TABLE, Record

COLUMNS = ("query_id", "target", "flipped")


def read_query_table(folder: Path, record: Record) -> pd.DataFrame:
    """The query table beside ``record`` in a run folder, indexed by query and target.

    Raises:
        MissingResource: there is none. CorruptFile: it is damaged, has columns that are missing or of another type, or
            other queries than the record says.
    """
    path = folder / TABLE
    remedy = f"write it again with cfbench score {folder}"
    if not path.is_file():
        raise MissingResource(f"{path} is missing; {remedy}")
    try:
        table: pd.DataFrame = (
            pq.ParquetFile(path).read(use_threads=False).to_pandas(use_threads=False, ignore_metadata=True)
        )
    except (ArrowException, OSError, ValueError) as error:
        raise CorruptFile(f"{path} is damaged: {str(error).partition(chr(10))[0]}; {remedy}") from error
    if problem := _problem(table, record):
        raise CorruptFile(f"{path} has {problem}; {remedy}")
    return table.set_index(["query_id", "target"])


def _problem(table: pd.DataFrame, record: Record) -> str | None:
    """What is wrong with a query table, or None."""
    if absent := [column for column in COLUMNS if column not in table]:
        return f"no column {absent[0]!r}"
    if not table.columns.is_unique:
        return "two columns of one name"
    if len(table) and infer_dtype(table["query_id"], skipna=False) != "string":
        return f"column 'query_id' of type {table['query_id'].dtype}, expected text"
    if len(table) != record.queries.requested or table["query_id"].duplicated().any():
        found = f"{table['query_id'].nunique()} queries in {len(table)} rows"
        return f"{found}, its record says {record.queries.requested}"
    kinds = {"target": "iu", "flipped": "b"} | dict.fromkeys(record.scores, "biuf")
    odd = [name for name, kind in kinds.items() if name in table and table[name].dtype.kind not in kind]
    return f"column {odd[0]!r} of type {table[odd[0]].dtype}, expected numbers or flags" if odd else None
