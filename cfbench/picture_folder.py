"""A user's folder of pictures by class: what is in it, whether it can be a task, and its pictures as images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cfbench.errors import CorruptFile, InvalidParameter, MissingResource, UnknownName
from cfbench.files import sha256_file
from cfbench.pictures import read_square

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")

TRAINING = "train"
HELD_OUT = ("test", "validation", "val", "valid")
"""Names of folders, beside ``train``, whose pictures are held out."""

FEWEST_TRAINING = 6
FEWEST_HELD_OUT = 4
"""Fewest pictures of a class that a task is made of; most metrics ask for more and say so."""

HELD_OUT_SHARE = 0.4
"""Share of each class that is held out where the folder does not say."""


@dataclass(frozen=True)
class PictureFolder:
    """The pictures of a folder.

    Attributes:
        classes: names of the classes, sorted. pictures: a row a picture, sorted by file: ``file`` below ``path``,
            ``label``, ``held_out``, ``sha256``. duplicates: copies of the same picture that are left out.
    """

    path: Path
    classes: tuple[str, ...]
    pictures: pd.DataFrame
    duplicates: int

    def check_counts(self) -> None:
        """Every class has pictures enough to train on and to hold out.

        Raises:
            InvalidParameter: one has not; says which, and how many it has.
        """
        for label, name in enumerate(self.classes):
            held_out = self.pictures["held_out"][self.pictures["label"] == label]
            training, rest = int((~held_out).sum()), int(held_out.sum())
            if training < FEWEST_TRAINING or rest < FEWEST_HELD_OUT:
                raise InvalidParameter(
                    f"class {name!r} of {self.path} has {training} pictures to train on and {rest} held out; "
                    f"expected at least {FEWEST_TRAINING} and {FEWEST_HELD_OUT}: add pictures, or leave the class out"
                )


def open_folder(path: Path, *, seed: int) -> PictureFolder:
    """The pictures of ``path/<class>/``, or of ``path/train/<class>/`` and ``path/test/<class>/``.

    Without the latter, a seeded share of each class is held out. Copies of one picture count once, so that nothing is
    both trained on and asked about.

    Raises:
        MissingResource: there is no such folder, or no picture in it.
        InvalidParameter: fewer than two classes; one picture in two classes; folders that have no place; names that are
            not plain text.
        UnknownName: a class is held out that is not trained on, or the other way round.
    """
    if not path.is_dir():
        raise MissingResource(f"{path} is missing; give a folder that holds a folder of pictures for each class")
    parts = _parts(path)
    classes = _classes(path, parts)
    rows = [
        (file.relative_to(path).as_posix(), label, held_out)
        for held_out, folder in parts
        for label, name in enumerate(classes)
        for file in _files(folder / name)
    ]
    for file, *_ in rows:
        if not file.isprintable():
            raise InvalidParameter(f"{path} has {file!r}, whose name is not plain text; rename it")
    found = pd.DataFrame(rows, columns=["file", "label", "held_out"]).sort_values("file", ignore_index=True)
    found["sha256"] = [sha256_file(path / file) for file in found["file"]]
    unique = _unique(path, classes, found)
    if len(parts) == 1:
        unique["held_out"] = _held_out(unique["label"].to_numpy(), seed)
    return PictureFolder(path, classes, unique, len(found) - len(unique))


def _folders(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if each.is_dir() and not each.name.startswith((".", "__")))


def _files(path: Path) -> list[Path]:
    found = (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))
    return [file for file in found if file.is_file()]


def _parts(path: Path) -> list[tuple[bool, Path]]:
    """Folders of classes, each with whether its pictures are held out."""
    folders = {each.name: each for each in _folders(path)}
    held_out = [folders[name] for name in HELD_OUT if name in folders and _folders(folders[name])]
    if TRAINING not in folders or not held_out or not _folders(folders[TRAINING]):
        return [(False, path)]
    others = set(folders) - {TRAINING, *(each.name for each in held_out)}
    if others:
        raise InvalidParameter(
            f"{path} has {min(others)}/ beside {TRAINING}/ and {held_out[0].name}/; expected no folder but those, with "
            "a folder for each class in them"
        )
    return [(False, folders[TRAINING]), *((True, each) for each in held_out)]


def _classes(path: Path, parts: list[tuple[bool, Path]]) -> tuple[str, ...]:
    named = {folder: {each.name for each in _folders(folder)} for _, folder in parts}
    first = named[parts[0][1]]
    for folder, names in named.items():
        for name in sorted(names ^ first):
            has, lacks = (folder, parts[0][1]) if name in names else (parts[0][1], folder)
            raise UnknownName(
                f"unknown class {name!r}: {has} has a folder of it, {lacks} has none; give both the same folders"
            )
    if len(first) < 2:
        found = f"one class ({min(first)})" if first else "no folder of a class"
        loose = sum(file.suffix.lower() in SUFFIXES for file in path.iterdir())
        beside = f" and {loose} pictures that are in none" if loose else ""
        raise InvalidParameter(
            f"{path} has {found}{beside}; expected two folders or more, each with the pictures of the class it is "
            f"named after (or {TRAINING}/ and {HELD_OUT[0]}/ with such folders in both)"
        )
    classes = tuple(sorted(first))
    for _, folder in parts:
        for name in classes:
            if not _files(folder / name):
                raise MissingResource(f"{folder / name} has no pictures ({', '.join(SUFFIXES)})")
    return classes


def _unique(path: Path, classes: tuple[str, ...], found: pd.DataFrame) -> pd.DataFrame:
    """The pictures without copies; of those, a held-out one is kept."""
    labels = found.groupby("sha256")["label"].nunique()
    for sha256 in labels.index[labels > 1]:
        same = found[found["sha256"] == sha256].drop_duplicates("label")
        first, second = same["file"].iloc[:2]
        raise InvalidParameter(f"{path / first} and {path / second} are the same picture in two classes; remove one")
    kept = found.sort_values(["held_out", "file"], ascending=[False, True]).drop_duplicates("sha256")
    return kept.sort_values("file", ignore_index=True)


def _held_out(labels: np.ndarray, seed: int) -> np.ndarray:
    """A random share of each class."""
    random = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        chosen[members[: round(HELD_OUT_SHARE * len(members))]] = True
    return chosen


@dataclass(frozen=True)
class Decoded:
    """Pictures as 8-bit RGB images ``[N, 3, side, side]``, those that could be read.

    Attributes:
        gray: whether all were gray. damaged: positions of those that could not be read, with the reason.
    """

    images: Tensor
    gray: bool
    damaged: dict[int, str]


def decode(folder: PictureFolder, *, side: int, skip_damaged: bool) -> Decoded:
    """Read all pictures: the square in the middle, scaled by an antialiased bicubic filter.

    Raises:
        CorruptFile: pictures cannot be read and are not to be skipped; names the first and says how many.
    """
    images: list[np.ndarray] = []
    gray = True
    damaged = {}
    for position, file in enumerate(folder.pictures["file"]):
        try:
            pixels, coloured = read_square(folder.path / file, side=side)
        except CorruptFile as error:
            damaged[position] = str(error)
            continue
        images.append(pixels)
        gray = gray and not coloured
    if damaged and not skip_damaged:
        raise CorruptFile(
            f"{len(damaged)} of {len(folder.pictures)} pictures cannot be read: {next(iter(damaged.values()))}; mend "
            "or remove them, or leave them out with --skip-damaged"
        )
    stacked = np.stack(images) if images else np.empty((0, side, side, 3), np.uint8)
    return Decoded(torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous(), gray, damaged)
