"""Manifests, tables and images of splits, and the facts of user tasks: read, or refused by a line that says why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fuzzing import altered, cases, damaged, refused
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from odd_arrays import archives, npz
from published_texts import RECORD

from cfbench.files import sha256_bytes
from cfbench.manifest import FileEntry, Manifest
from cfbench.registry import TASK_FILE
from cfbench.store import KEY_FILE, RunFolder
from cfbench.task import Task
from cfbench.testing import Toy
from cfbench.user_tasks import Facts, dataset_class, read_facts

COUNT = 6

TABLE = pd.DataFrame(
    {
        "image_id": [f"toy-{index}" for index in range(COUNT)],
        "raw_index": np.arange(COUNT),
        "label": np.arange(COUNT) % 3,
        "source": np.arange(COUNT) % 3,
        "near": (np.arange(COUNT) + 1) % 3,
        "any": (np.arange(COUNT) + 2) % 3,
    }
)

IMAGES = npz(images=np.zeros((COUNT, *Toy.image_shape), np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("datasets")


def toy_with(folder: Path, table: bytes, images: bytes, manifest: bytes | None = None) -> Toy:
    """The toy data set with one split, its hashes fitting."""
    (folder / "splits").mkdir(exist_ok=True)
    parts = {"test.csv": table, "test.npz": images}
    for name, data in parts.items():
        (folder / "splits" / name).write_bytes(data)
    entries = {
        name: FileEntry(file=f"splits/{name}", bytes=len(data), sha256=sha256_bytes(data))
        for name, data in parts.items()
    }
    Manifest(version="v1", splits=entries).write(folder)
    if manifest is not None:
        (folder / "manifest.json").write_bytes(manifest)
    return Toy(folder)


def whole_table() -> bytes:
    return TABLE.to_csv(index=False).encode()


def use(toy: Toy, rule: str) -> None:
    task = Task(toy, targets=rule)
    assert len(task.stored) == len(task) == len(task.targets) > 0
    assert len(toy.split("test")) == len(task)


@cases(60)
@given(data=st.data(), rule=st.sampled_from(["near", "any"]))
def test_tables_of_splits(folder: Path, data: DataObject, rule: str) -> None:
    rows = [line.split(",") for line in whole_table().decode().splitlines()]
    for _ in range(data.draw(st.integers(0, 3))):
        row = data.draw(st.sampled_from(rows))
        row[data.draw(st.integers(0, len(row) - 1))] = data.draw(
            st.sampled_from(["", "-1", "3", "1.5", "nan", "9" * 25, "x", '"', "True", "toy-0"])
        )
    text = "\n".join(",".join(row) for row in rows).encode()
    table = data.draw(damaged(text)) if data.draw(st.integers(0, 3)) == 0 else text
    with refused():
        use(toy_with(folder, table, IMAGES), rule)


@cases(60)
@given(images=archives(IMAGES, ("images.npy", "labels.npy", "images")))
def test_images_of_splits(folder: Path, images: bytes) -> None:
    with refused("test.npz"):
        use(toy_with(folder, whole_table(), images), "near")


@cases(60)
@given(data=st.data())
def test_manifests(folder: Path, data: DataObject) -> None:
    toy_with(folder, whole_table(), IMAGES)
    whole = (folder / "manifest.json").read_bytes()
    if data.draw(st.booleans()):
        manifest = data.draw(damaged(whole))
    else:
        manifest = json.dumps(data.draw(altered(json.loads(whole)))).encode()
    with refused():
        use(toy_with(folder, whole_table(), IMAGES, manifest), "near")


FACTS = Facts(
    layout=1,
    name="mine",
    source="photos",
    classes=("a", "b"),
    image_shape=(3, 32, 32),
    mean=(0.5, 0.5, 0.5),
    std=(0.2, 0.2, 0.2),
    training=60,
    held_out=40,
    skipped=0,
    duplicates=0,
    pictures="0" * 64,
    epochs=5,
    classifier=None,
)


@cases(60)
@given(data=st.data())
def test_facts_of_user_tasks(folder: Path, data: DataObject) -> None:
    """Altered facts, given the version that they make where they make one."""
    facts = json.loads(FACTS.model_dump_json())
    facts = data.draw(altered(facts))
    try:
        version = Facts.model_validate(facts).version
    except ValueError:
        version = FACTS.version
    text = json.dumps({"version": version, "facts": facts}).encode()
    (folder / TASK_FILE).write_bytes(data.draw(damaged(text)) if data.draw(st.integers(0, 3)) == 0 else text)
    with refused(TASK_FILE):
        found = read_facts(folder)
        assert dataset_class(found, folder)().networks


@cases(60)
@given(data=st.data())
def test_keys_of_run_folders(folder: Path, data: DataObject) -> None:
    text = json.dumps(data.draw(altered(RECORD["key"]))).encode()
    (folder / KEY_FILE).write_bytes(data.draw(damaged(text)) if data.draw(st.booleans()) else text)
    with refused(KEY_FILE):
        assert RunFolder(folder).key().digest
