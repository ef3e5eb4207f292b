"""Data sets that read the user's own pictures: packing once, verifying, telling copies apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from cfbench.dataset import SPLITS, NetworkSpec, RawData
from cfbench.errors import CorruptFile, MissingResource
from cfbench.folders import FolderDataset
from cfbench.pictures import read_pictures
from cfbench.preparation import freeze_splits, train_network
from cfbench.testing import Toy
from cfbench.testing.toy import render


class Own(FolderDataset):
    name = "own"
    version = "v1"
    title = "Own pictures"
    classes = Toy.classes
    image_shape = Toy.image_shape
    licence = "none"
    citation = "none"
    homepage = "https://example.org"
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 30, "validation": 15, "reference": 30, "pool": 30}
    networks: ClassVar[Mapping[str, NetworkSpec]] = {"classifier": Toy.networks["classifier"]}

    def raw(self, root: Path | None) -> RawData:
        return RawData(train=render(600, 1), test=render(300, 2))

    def pictures(self, root: Path | None, numbers: list[int]) -> torch.Tensor:
        if root is None:
            raise MissingResource("give the folder of pictures with --data")
        return read_pictures([root / f"{number}.png" for number in numbers], side=12)[:, :1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A frozen data set, and an empty cache as another user has it."""
    monkeypatch.setenv("CFBENCH_CACHE", str(tmp_path / "first"))
    dataset = Own(tmp_path / "own")
    raw = dataset.raw(None)
    train_network(dataset, "classifier", raw, dataset.folder)
    freeze_splits(dataset, raw, Own(dataset.folder).network("classifier"), dataset.folder)
    monkeypatch.setenv("CFBENCH_CACHE", str(tmp_path / "second"))
    return dataset.folder


@pytest.fixture
def copies(folder: Path, tmp_path: Path) -> Path:
    """The user's folder of pictures."""
    raw = Own(folder).raw(None)
    (tmp_path / "copies").mkdir()
    for split, origin in (("test", raw.test), ("validation", raw.test), ("reference", raw.test), ("pool", raw.train)):
        for number in Own(folder).table(split)["raw_index"]:
            name = tmp_path / "copies" / f"{number}.png"
            if split != "pool":
                Image.fromarray(origin.images[number, 0].numpy()).save(name)
            elif not name.exists():
                Image.fromarray(np.zeros((12, 12), np.uint8)).save(name)
    return tmp_path / "copies"


def test_no_picture_lies_in_the_folder_of_the_data_set(folder: Path) -> None:
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".json", ".csv", ".safetensors"}


def test_without_the_pictures_the_message_says_how_to_get_them(folder: Path) -> None:
    with pytest.raises(MissingResource, match=r"https://example.org, then run: cfbench prepare own --data DIR"):
        Own(folder).split("test")
    assert "cfbench prepare own --data DIR" in (Own(folder).absent() or "")
    with pytest.raises(MissingResource, match="give the folder of pictures with --data"):
        Own(folder).install(None)
    with pytest.raises(MissingResource, match=r"30 of 30 pictures are missing"):
        Own(folder).install(folder)


def test_the_users_copy_is_packed_once_and_compared_with_the_pinned_hash(folder: Path, copies: Path) -> None:
    pinned = Own(folder).split_hash
    dataset = Own(folder)
    lines = dataset.install(copies)
    assert lines[0] == "test.npy: identical to the pinned pack"
    assert "pool.npy: other pixels than the pinned pack" in lines[SPLITS.index("pool")]
    expected = dataset.raw(None).test.images[torch.from_numpy(dataset.table("test")["raw_index"].to_numpy().copy())]
    assert torch.equal(dataset.split("test").images, expected)
    assert Own(folder).split_hash != pinned, "another pack, other records"
    assert Own(folder).install(None) == lines, "packed once"
    assert Own(folder).absent() is None


def test_a_damaged_pack_is_refused(folder: Path, copies: Path) -> None:
    dataset = Own(folder)
    dataset.install(copies)
    path = dataset.built_folder / "splits" / "test.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptFile, match=r"corrupt or truncated.*run: cfbench prepare own --data DIR"):
        Own(folder).split("test")
