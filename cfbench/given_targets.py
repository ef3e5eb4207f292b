"""Which class each imported image was to become."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from cfbench.errors import CorruptFile, InvalidParameter, MissingResource
from cfbench.image_sets import ImageSet

MOST_CLASSES = 1_000_000
"""Class numbers that are read are below it."""


def some(names: Sequence[str]) -> str:
    """The first of ``names`` in words, and how many more there are."""
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown or "none"


def given_targets(images: ImageSet, queries: ImageSet, path: Path | None) -> Tensor:
    """The class asked for of each image, ``[N]`` int64: from a CSV file, or an array in either npz file.

    Raises:
        InvalidParameter: there are none, several for an image, or none for one; they are no class numbers.
        MissingResource: there is no such CSV file. CorruptFile: it is none.
    """
    held = [part.columns["targets"] for part in (images, queries) if "targets" in part.columns]
    if len(held) == 2 and not np.array_equal(held[0], held[1]):
        raise InvalidParameter(f"{images.path} and {queries.path} hold different targets; save them in one of the two")
    found = held[0] if held else None
    if path is not None:
        if not path.is_file():
            raise MissingResource(f"{path} is missing; give a CSV file with columns name and target")
        try:
            table = pd.read_csv(path, dtype={"name": str}, keep_default_na=False, na_values={"target": ["", "nan"]})
        except ValueError as error:
            raise CorruptFile(f"{path} is not a readable CSV file ({error}); save it again") from error
        if "target" not in table or ("name" not in table and len(table) != len(images)):
            raise InvalidParameter(
                f"{path} has columns {', '.join(map(str, table))} and {len(table)} rows; expected name and target for "
                f"{len(images)} images"
            )
        if "name" in table:
            table = table.drop_duplicates(["name", "target"])
            twice = table["name"][table["name"].duplicated()].tolist()
            if twice:
                raise InvalidParameter(f"{path} has several targets for {some(twice)}; give one a name")
            table = table.set_index("name").reindex(images.names)
        absent = table.index[table["target"].isna()].tolist()
        if absent:
            raise InvalidParameter(f"{path} has no target for {some([str(name) for name in absent])}")
        found = table["target"].to_numpy()
    if found is None:
        raise InvalidParameter(
            "there are no targets; give --targets CSV (columns name, target), or an array targets in an npz file"
        )
    return class_numbers(found, "targets")


def class_numbers(values: NDArray[Any], what: str) -> Tensor:
    """Class numbers as int64 ``[N]``.

    Raises:
        InvalidParameter: they are not whole, or out of all range; names ``what``.
    """
    if values.dtype.kind not in "iu" and not (values.dtype.kind == "f" and np.equal(values, np.floor(values)).all()):
        kind = "fractions" if values.dtype.kind == "f" else values.dtype
        raise InvalidParameter(f"{what} are {kind}; expected class numbers, 0 for the first")
    if len(values) and not -MOST_CLASSES < values.min() <= values.max() < MOST_CLASSES:
        raise InvalidParameter(
            f"{what} span {values.min()} to {values.max()}; expected class numbers below {MOST_CLASSES:,}"
        )
    return torch.from_numpy(values.astype(np.int64))
