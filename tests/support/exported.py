"""A toy run as files, as if its images had been made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from cfbench.harness import evaluate
from cfbench.image_sets import open_images
from cfbench.imports import Imported, judges_of_import, score_import
from cfbench.judges import Member
from cfbench.record import TABLE, Record
from cfbench.registry import METHODS
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.testing import Toy

FACTORIES = """
from pathlib import Path

import torch
from torch import nn

from cfbench.testing import Toy

FOLDER = Path({folder!r})


class Shift(nn.Module):
    def __init__(self, by):
        super().__init__()
        self.register_buffer("by", torch.tensor(float(by)))

    def forward(self, images):
        return images + self.by


class Colour(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 12)

    def forward(self, images):
        return self.layer(images).flatten(1)


class Logits(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.count = count

    def forward(self, images):
        return images.flatten(1)[:, : self.count]


def classifier():
    return Toy(FOLDER).network("classifier")


def oracles():
    return {{name: Toy(FOLDER).network(f"oracle-{{name}}") for name in ("1", "2")}}


def autoencoders():
    return {{"all": Shift(0.5), 0: Shift(0.1), 1: Shift(0.2), 2: Shift(0.4)}}


def colour():
    return Colour()


def one_logit():
    return Logits(1)


def four_classes():
    return Logits(4)


def a_number():
    return 3


def raises():
    raise ValueError("no weights here")
"""


@dataclass(frozen=True)
class Export:
    """A toy run, and its images and queries as npz files in ``folder``, with ``networks.py`` beside them."""

    folder: Path
    record: Record
    table: pd.DataFrame
    made: NDArray[np.uint8]
    task: Task

    @property
    def networks(self) -> Path:
        return self.folder / "networks.py"


def exported(toy_folder: Path, folder: Path) -> Export:
    """Run an attack on the toy task, and save its images and queries below ``folder``."""
    task = Task(Toy(toy_folder))
    record, run = evaluate(METHODS.load("pgd")(epsilon=0.25), task, root=folder / "runs")
    made = torch.cat([shard.images for shard in RunFolder(run).shards()]).numpy()
    np.savez(folder / "images.npz", images=made)
    np.savez(folder / "queries.npz", images=task.stored.numpy(), targets=task.targets.numpy())
    (folder / "networks.py").write_text(FACTORIES.format(folder=str(toy_folder)))
    return Export(folder, record, pd.read_parquet(run / TABLE), made, task)


def scored(
    imported: Imported, out: Path, members: Sequence[Member] = (), task: Task | None = None
) -> tuple[Record, pd.DataFrame]:
    judges = judges_of_import(imported, members, task)
    record, folder = score_import(imported, judges, name="mine", out=out, task=task.key if task else "imported")
    assert Record.read(folder) == record
    return record, pd.read_parquet(folder / TABLE)


def pair(folder: Path, **options: Any) -> Imported:
    return Imported.paired(open_images(folder / "images.npz"), open_images(folder / "queries.npz"), **options)


def altered(export: Export, folder: Path, *, images: object = None, **columns: object) -> Imported:
    """The exported run with other images or other columns beside the queries."""
    made = export.made if images is None else images
    queries = {"images": export.task.stored.numpy(), "targets": export.task.targets.numpy()} | columns
    np.savez(folder / "images.npz", images=made)  # type: ignore[arg-type]
    np.savez(folder / "queries.npz", **queries)  # type: ignore[arg-type]
    return pair(folder)


def pictures(folder: Path, images: NDArray[np.uint8], names: Sequence[str]) -> Path:
    folder.mkdir()
    for image, name in zip(images, names, strict=True):
        Image.fromarray(image[0]).save(folder / f"{name}.png")
    return folder
