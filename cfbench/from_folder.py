"""Making a task of a user's own pictures: what it will be, then building it, from where it was stopped."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cfbench.dataset import RawData
from cfbench.errors import InvalidParameter, RunMismatch
from cfbench.files import read_verified, write_atomic
from cfbench.given import check_given, given
from cfbench.images import dequantise
from cfbench.picture_folder import PictureFolder, decode, open_folder
from cfbench.preparation import SPLIT_SEED, freeze_splits, train_networks
from cfbench.registry import DATASETS, TASK_FILE, user_task_folder
from cfbench.session import SECONDS, Progress
from cfbench.training import predict
from cfbench.user_tasks import BATCH, LAYOUT, SCRIPT, Facts, UserDataset, dataset_class, digest, images_of, read_facts

STEPS = 400
"""Gradient steps a network is trained for, about, unless the number of epochs is given."""

EPOCHS = (5, 40)
"""Fewest and most epochs that are chosen for that."""

BEHIND = 0.1
"""Share of held-out pictures by which a judge may be worse than the classifier without a warning."""

SIDES = (8, 256)
"""Smallest and largest images, in pixels a side."""


@dataclass(frozen=True)
class Plan:
    """A task to be: its facts, its folder, its images, and the table of the pictures that they were read from."""

    facts: Facts
    folder: Path
    raw: RawData
    pictures: PictureFolder


def plan_task(
    source: Path,
    *,
    classifier: str | None = None,
    name: str | None = None,
    side: int = 64,
    channels: int | None = None,
    epochs: int | None = None,
    skip_damaged: bool = False,
    out: Path | None = None,
) -> Plan:
    """Read the pictures and the classifier of a task to be; nothing is written.

    Args:
        source: a folder of pictures by class, see :func:`cfbench.picture_folder.open_folder`.
        classifier: TorchScript file, ``file.py:factory`` or ``timm:NAME``; by default a small network is trained.
        name: of the task; by default that of the folder.
        side: pixels of the images, an even number. channels: 1 or 3; by default as the pictures are.
        epochs: of each network. skip_damaged: leave out pictures that cannot be read. out: where the task lies.

    Raises:
        InvalidParameter, UnknownName, MissingResource, CorruptFile: of the folder, the classifier or the name; they
            say what to do.
        RunMismatch: there is a task of this name that was made of something else.
    """
    if side % 2 or not SIDES[0] <= side <= SIDES[1]:
        raise InvalidParameter(f"size {side} is not possible; choose an even number from {SIDES[0]} to {SIDES[1]}")
    name = _task_name(name or source.resolve().name)
    found = open_folder(source.resolve(), seed=SPLIT_SEED)
    found.check_counts()
    decoded = decode(found, side=side, skip_damaged=skip_damaged)
    replace(found, pictures=found.pictures.drop(index=list(decoded.damaged))).check_counts()
    channels = channels or (1 if decoded.gray else 3)
    raw = images_of(found, decoded, channels)
    brought = None if classifier is None else given(classifier)
    if brought is not None and brought.kind != "timm":
        check_given(brought, dequantise(raw.test.images[:2]), found.classes)
    values = dequantise(raw.train.images)
    facts = Facts(
        layout=LAYOUT,
        name=name,
        source=str(found.path),
        classes=found.classes,
        image_shape=(channels, side, side),
        mean=tuple(round(float(value), 4) for value in values.mean(dim=(0, 2, 3))),
        std=tuple(round(max(float(value), 1e-3), 4) for value in values.std(dim=(0, 2, 3))),
        training=len(raw.train),
        held_out=len(raw.test),
        skipped=len(decoded.damaged),
        duplicates=found.duplicates,
        pictures=digest(found.pictures),
        epochs=epochs or _epochs(len(raw.train)),
        classifier=brought,
    )
    folder = out or user_task_folder(name)
    _check_version(facts, folder)
    return Plan(facts, folder.resolve(), raw, found)


def _task_name(text: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not name:
        raise InvalidParameter(f"{text!r} gives no name of a task; choose one of letters and digits with --name")
    if name in DATASETS.builtin or name in DATASETS.installed:
        raise InvalidParameter(f"there is a task {name!r} already; choose another with --name")
    return name


def _epochs(count: int) -> int:
    fewest, most = EPOCHS
    return min(most, max(fewest, math.ceil(STEPS * BATCH / count)))


def _check_version(facts: Facts, folder: Path) -> None:
    if not (folder / TASK_FILE).is_file():
        return
    there = read_facts(folder)
    if there.version != facts.version:
        raise RunMismatch(
            f"{folder} holds {there.name}@{there.version}, which was made of other pictures, another classifier or "
            f"other settings than {facts.name}@{facts.version}; choose another --name, or remove that folder"
        )


def build_task(
    plan: Plan,
    *,
    report: Callable[[str], Progress | None] = lambda name: None,
    seconds: float = SECONDS,
    device: str = "cpu",
) -> UserDataset:
    """Freeze the classifier, draw the splits, train the judges; goes on where it was stopped.

    ``report(name)`` gives the progress callback of each network; ``seconds`` is the longest time between checkpoints;
    ``device`` is where networks are trained.

    Raises:
        InvalidParameter: the classifier gets too few held-out pictures right.
    """
    facts, folder, raw = plan.facts, plan.folder, plan.raw
    brought = facts.classifier
    if brought is not None and brought.kind == "script" and not (folder / SCRIPT).is_file():
        read_verified(brought.path, sha256=brought.file, remedy="it was changed just now; try again")
        write_atomic(folder / SCRIPT, partial(shutil.copyfile, brought.path))
    table = plan.pictures.pictures
    write_atomic(folder / "pictures.csv", partial(table.to_csv, index_label="raw_index", lineterminator="\n"))
    facts.write(folder)
    dataset = dataset_class(facts, folder)()
    first, *others = dataset.networks
    train = partial(
        train_networks, dataset, raw=raw, folder=folder, report=report, resume=True, seconds=seconds, device=device
    )
    train([first])
    if not dataset_class(facts, folder)().manifest.splits:
        network = dataset_class(facts, folder)().network(first)
        right = int((predict(network, raw.test.images) == raw.test.labels).sum())
        if right <= facts.split_sizes["test"]:
            raise InvalidParameter(
                f"the classifier gets {right} of {facts.held_out} held-out pictures right; expected more than "
                f"{facts.split_sizes['test']}: are its classes in this order: {', '.join(facts.classes)}?"
            )
        freeze_splits(dataset, raw, network, folder)
    train(others)
    return dataset_class(facts, folder)()


def weak_judges(dataset: UserDataset) -> dict[str, float]:
    """Accuracy of the oracles and the extractor that stay behind the classifier by more than ``BEHIND``."""
    reached = {name: dataset.entry(name).quality.get("accuracy", 1.0) for name in dataset.networks}
    judges = [name for role in ("oracle", "extractor") for name in dataset.names(role)]
    return {name: reached[name] for name in judges if reached[name] < reached["classifier"] - BEHIND}
