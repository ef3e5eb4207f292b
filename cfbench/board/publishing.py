"""Publishing a finished run on the leaderboard: only what ranking, page and reports read of it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cfbench.board.card import FILE as SUBMISSION
from cfbench.board.card import Submission
from cfbench.board.entries import GALLERY, read_entry
from cfbench.comparison import Run
from cfbench.dataset import Dataset
from cfbench.errors import InvalidParameter, RunMismatch, StorageError
from cfbench.files import canonical_json
from cfbench.keys import run_path
from cfbench.pieces import UNREACHED, pieces_of
from cfbench.record import FILE, LOCAL_FOLDERS, TABLE, Record
from cfbench.registry import load_dataset
from cfbench.store import RunFolder
from cfbench.task import Task

SHOWN = 8
"""Queries of a gallery."""


def gallery_positions(n: int) -> list[int]:
    """Positions of the gallery's queries among the ``n`` of a split, from the first to the last; all below eight.

    Evenly spaced with the last one among them, as a step that the number of classes divides would show few classes:
    query tables go through the classes in turn.
    """
    return sorted({index * (n - 1) // (SHOWN - 1) for index in range(SHOWN)})


def gallery_png(images: Tensor) -> bytes:
    """8-bit images ``[N, C, H, W]`` (C = 1 or 3) side by side as a PNG file of their own pixels."""
    from PIL import Image

    row = torch.cat([*images.cpu()], dim=2)
    pixels = row[0] if len(row) == 1 else row.permute(1, 2, 0)
    buffer = BytesIO()
    Image.fromarray(pixels.numpy()).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def publish(
    folder: Path,
    records: Path,
    columns: Sequence[str],
    submission: Submission | None = None,
    *,
    dataset: Dataset | None = None,
) -> Path:
    """Copy what the board needs of a finished run below ``records``; an entry of the same key is replaced.

    Args:
        folder: of the run, as evaluate wrote it. columns: metrics whose values a query are kept, where there are any.
        dataset: the task's data set, by default the one that the record names.

    Returns:
        The folder of the entry, which appears whole or not at all.

    Raises:
        MissingResource, CorruptFile: the run is unfinished or damaged. InvalidParameter: it is none for the board.
        RunMismatch: its images are not those that were scored. StorageError: it cannot be written.
    """
    run = Run.read(folder)
    record = run.record
    if record.key != RunFolder(folder).key():
        raise RunMismatch(f"{folder} holds the record of another run; run the same cfbench evaluate command again")
    if record.key.split != "test" or record.key.variant:
        what = f"the rerun {record.key.variant}" if record.key.variant else f"on {record.key.split} queries"
        raise InvalidParameter(f"{folder} is {what}; the board has runs on test queries: cfbench evaluate --split test")
    where = run_path(Path(), record.key)
    if len(where.parts) != 2 or where.is_absolute() or ".." in where.parts:
        raise InvalidParameter(f"{folder} cannot be named on the board: {str(where)!r} is no folder in a folder")
    dataset = dataset or load_dataset(record.key.task)
    pictures = gallery_images(folder, record, dataset)
    try:
        records.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=records, prefix=".tmp-") as name:
            temporary = Path(name)
            made, place = temporary / where, records / where
            made.mkdir(parents=True)
            (made / FILE).write_text(canonical_json(record.slim()) + "\n", encoding="utf-8")
            _slim_table(run, columns).to_parquet(made / TABLE, index=False, compression="zstd", use_dictionary=False)
            if dataset.shareable and pictures is not None:
                (made / GALLERY).write_bytes(gallery_png(pictures))
            if submission is not None:
                (made / SUBMISSION).write_text(submission.model_dump_json(indent=2) + "\n", encoding="utf-8")
            read_entry(made)
            place.parent.mkdir(exist_ok=True)
            if place.exists():
                place.rename(temporary / "replaced")
            os.rename(made, place)
    except OSError as error:
        raise StorageError(f"cannot write below {records}: {error.strerror or error}; give other --records") from error
    return place


def gallery_images(folder: Path, record: Record, dataset: Dataset) -> Tensor | None:
    """The counterfactuals of the gallery's queries ``[N, C, H, W]`` in a run's folder; None where some are not there.

    Raises:
        RunMismatch: the images are not those that were scored. CorruptFile: a shard is damaged.
    """
    key = record.key
    task = Task(dataset, targets=key.targets, split=key.split, classifier=key.classifier)
    wanted = gallery_positions(record.queries.expected)
    found: dict[int, Tensor] = {}
    digest = hashlib.sha256()
    for piece in pieces_of(RunFolder(folder), task, record.queries.requested):
        piece.add_to(digest)
        there = {position: position - piece.first for position in wanted}
        found |= {
            position: piece.stored[place]
            for position, place in there.items()
            if 0 <= place < len(piece.errors) and piece.errors[place] != UNREACHED
        }
    if digest.hexdigest() != record.provenance.images:
        raise RunMismatch(
            f"{folder} was scored with other images than it holds; score it again: cfbench score {folder}"
        )
    return torch.stack([found[position] for position in wanted]) if len(found) == len(wanted) else None


def _slim_table(run: Run, columns: Sequence[str]) -> pd.DataFrame:
    """Queries, classes, flips, errors, and the values of ``columns`` in 32 bits."""
    table = run.table.reset_index()
    kept = {name: table[name].astype(np.float32) for name in columns if name in table}
    return pd.DataFrame(
        {
            "query_id": table["query_id"],
            "source": table["source"].astype(np.int16),
            "target": table["target"].astype(np.int16),
            "flipped": table["flipped"],
            "error": table["error"].str.replace(LOCAL_FOLDERS, "", regex=True),
            **kept,
        }
    )
