"""The files of a split: a table, a row an image, and the images. Their hashes are checked before; here, their form."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cfbench.errors import CorruptFile
from cfbench.npz import NO_HEADER, UNREADABLE

COLUMNS = ("image_id", "raw_index", "label")
QUERY_COLUMNS = (*COLUMNS, "source", "near", "any")

CLASSES = ("label", "source")
"""Columns that hold classes, beside the targets, which a task checks."""


def read_table(data: bytes, name: str, *, columns: Sequence[str], classes: int) -> pd.DataFrame:
    """The table of a split, with all of ``columns``: whole numbers, but for the text ``image_id``.

    Raises:
        CorruptFile: it is not such a table; names ``name`` and the column.
    """
    try:
        table = pd.read_csv(BytesIO(data), dtype={"image_id": str})
    except ValueError as error:
        raise CorruptFile(f"{name} is not a readable CSV file ({str(error).strip()}); build it again") from error
    for column in columns:
        if column not in table:
            raise CorruptFile(f"{name} has no column {column!r}, only {', '.join(map(str, table))}; build it again")
        if column != "image_id" and table[column].dtype != np.int64:
            raise CorruptFile(f"{name} has {table[column].dtype} in column {column!r}; expected whole numbers")
        if column in CLASSES and not table[column].between(0, classes - 1).all():
            raise CorruptFile(f"{name} has numbers that are no class in column {column!r}; expected 0 to {classes - 1}")
    if not len(table) or table["image_id"].isna().any() or not table["image_id"].is_unique:
        raise CorruptFile(f"{name} has no rows, or names that are missing or come twice in column 'image_id'")
    return table


def read_images(data: bytes, name: str, *, count: int, shape: tuple[int, int, int]) -> Tensor:
    """The array ``images`` of an npz file, uint8 ``[count, C, H, W]``.

    Raises:
        CorruptFile: it is not there, or of another form; names ``name``.
    """
    try:
        with np.load(BytesIO(data), allow_pickle=False) as arrays:
            images = np.asarray(arrays["images"])
    except (*UNREADABLE, *NO_HEADER, KeyError) as error:
        raise CorruptFile(f"{name} holds no readable array of images ({error}); build it again") from error
    if images.dtype != np.uint8 or images.shape != (count, *shape):
        raise CorruptFile(
            f"{name} holds {images.dtype} images {list(images.shape)}; expected uint8 {[count, *shape]}, as its table"
        )
    return torch.from_numpy(images)
