"""The gallery of a board: the same fixed queries for every row, and what each row made of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from torch import Tensor

from cfbench.board.boards import Board
from cfbench.board.entries import GALLERY, Entry
from cfbench.board.publishing import gallery_positions
from cfbench.dataset import Dataset
from cfbench.errors import CfbenchError, CorruptFile
from cfbench.registry import load_dataset
from cfbench.task import Task


@dataclass(frozen=True)
class Gallery:
    """8-bit queries ``[N, C, H, W]``, their classes, the classes asked for, and their names."""

    queries: Tensor
    sources: list[int]
    targets: list[int]
    ids: list[str]


def dataset_of(board: Board) -> Dataset | None:
    """The data set of a board's task, or None where this release does not know it."""
    try:
        return load_dataset(board.record.key.task)
    except CfbenchError:
        return None


def gallery_of(board: Board, dataset: Dataset) -> Gallery | None:
    """The gallery's queries; None where they may not be shown, are not here, or are others than the entries'."""
    key = board.record.key
    if not dataset.shareable or not any(entry.gallery for row in board.rows for entry in row.entries):
        return None
    try:
        task = Task(dataset, targets=key.targets, split=key.split, classifier=key.classifier)
        if dataset.split_hash != key.split_hash or len(task) != board.n:
            return None
        positions = gallery_positions(board.n)
        return Gallery(
            task.stored[positions],
            task.sources[positions].tolist(),
            task.targets[positions].tolist(),
            task.queries["query_id"].iloc[positions].tolist(),
        )
    except CfbenchError:
        return None


def pictures_of(entry: Entry, like: Tensor) -> Tensor:
    """The images in the gallery of an entry, of the number and form of ``like``, uint8 ``[N, C, H, W]``.

    Raises:
        CorruptFile: it is no picture, or has not the form of :func:`cfbench.board.publishing.gallery_png` of so many.
    """
    from PIL import Image

    count, channels, height, width = like.shape
    path = entry.run.path / GALLERY
    expected = (count * width, height), "L" if channels == 1 else "RGB"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(BytesIO(entry.gallery or b""), formats=["PNG"]) as picture:
                if (picture.size, picture.mode) != expected:
                    raise CorruptFile(
                        f"{path} is of {picture.size} pixels, {picture.mode}; expected {expected[0]}, {expected[1]}; "
                        "publish the run again with: cfbench leaderboard add RUN"
                    )
                pixels = np.array(picture, dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, Warning, Image.DecompressionBombError) as error:
        raise CorruptFile(f"{path} is no PNG picture: {error}; publish the run again") from error
    images = torch.from_numpy(pixels.reshape(height, count, width, channels))
    return images.permute(1, 3, 0, 2).contiguous()
