"""Published entries: a record, a slim query table, a gallery and who sent it in, in one folder each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

from cfbench.board.card import FILE as SUBMISSION
from cfbench.board.card import Submission, first_problem
from cfbench.comparison import Run
from cfbench.errors import CorruptFile, MissingResource
from cfbench.keys import run_path
from cfbench.record import FILE, TABLE, Record
from cfbench.strict_json import read_json

GALLERY = "gallery.png"

PNG = b"\x89PNG\r\n\x1a\n"
LARGEST_GALLERY = 1_000_000
"""Bytes of a gallery; eight pictures of 64 pixels a side take 100,000."""


@dataclass(frozen=True)
class Entry:
    """A published run. ``gallery`` is a PNG file; ``submission`` is None where the board's keepers made the run."""

    run: Run
    gallery: bytes | None
    submission: Submission | None

    @property
    def record(self) -> Record:
        """Scores and provenance."""
        return self.run.record

    @property
    def table(self) -> pd.DataFrame:
        """A row a query, indexed by query and target."""
        return self.run.table


def read_entries(records: Path) -> list[Entry]:
    """All entries below a folder of records, in the order of their names.

    Raises:
        MissingResource: there are none. CorruptFile: one is damaged, inconsistent or in the wrong place; names it.
    """
    folders = sorted(path.parent for path in records.glob(f"*/*/{FILE}"))
    if not folders:
        raise MissingResource(f"there are no records below {records}; publish one with: cfbench leaderboard add RUN")
    return [read_entry(folder) for folder in folders]


def read_entry(folder: Path) -> Entry:
    """One entry.

    Raises:
        MissingResource: a file of it is missing. CorruptFile: one is damaged, the folder has not the name that its key
            asks for, or the means of the query table are not the record's scores.
    """
    run = Run.read(folder)
    records = folder.parent.parent
    if folder != (place := run_path(records, run.record.key)):
        raise CorruptFile(
            f"{folder} holds another run than its name says: its key belongs to {place.relative_to(records)}"
        )
    _check_means(run)
    return Entry(run, _gallery(folder / GALLERY), _submission(folder / SUBMISSION))


def _check_means(run: Run) -> None:
    """Ranks are made of the table, scores of the record: they must tell the same."""
    for name, subsets in run.record.scores.items():
        score = subsets.get("all")
        if score is None or score.value is None or name not in run.table:
            continue
        values = run.table[name].to_numpy(dtype=np.float64)
        known = values[np.isfinite(values)]
        mean = float(known.mean()) if len(known) else np.nan
        if len(known) != score.n or not np.isclose(mean, score.value, rtol=1e-4, atol=1e-7):
            raise CorruptFile(
                f"{run.path}: {name} is {score.value:g} over {score.n} queries in {FILE} and {mean:g} over "
                f"{len(known)} in {TABLE}; publish the run again with: cfbench leaderboard add RUN"
            )


def _gallery(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    data = path.read_bytes()
    if not data.startswith(PNG) or len(data) > LARGEST_GALLERY:
        raise CorruptFile(f"{path} is not a PNG file of at most {LARGEST_GALLERY:,} bytes; publish the run again")
    return data


def _submission(path: Path) -> Submission | None:
    if not path.is_file():
        return None
    try:
        return Submission.model_validate(read_json(path.read_bytes(), str(path)))
    except ValidationError as error:
        raise CorruptFile(f"{path} is not the card of an accepted submission: {first_problem(error)}") from error
