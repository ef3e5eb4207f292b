"""Drawing splits: unequal classes, parts that are given, numbers of their own, 16-bit weights."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from elsewhere import DEVICE, pretending
from safetensors.torch import load_file

from cfbench.dataset import Images, RawData
from cfbench.errors import InvalidParameter
from cfbench.preparation import freeze_splits, train_network
from cfbench.testing import Toy
from cfbench.testing.toy import render
from cfbench.training import predict


class Unequal(Toy):
    balanced = False
    split_sizes = {"test": 60, "validation": 1000, "reference": 40, "pool": 50}


def part(seed: int, start: int) -> Images:
    """150 toy images where class 0 is rare, with numbers that are not their positions."""
    data = render(450, seed)
    kept = torch.cat([(data.labels == label).nonzero()[:count, 0] for label, count in ((0, 10), (1, 60), (2, 80))])
    return Images(data.images[kept], data.labels[kept], start + 7 * torch.arange(len(kept)))


def test_unequal_classes_are_taken_in_turn_while_they_last(toy: Toy, tmp_path: Path) -> None:
    raw = RawData(train=part(1, 0), test=part(2, 10000), validation=part(3, 20000), reference=part(4, 30000))
    classifier = toy.network("classifier")
    freeze_splits(Unequal(tmp_path), raw, classifier, tmp_path)
    dataset = Unequal(tmp_path)

    tables = {split: dataset.table(split) for split in dataset.split_sizes}
    for split, start in (("pool", 0), ("test", 10000), ("validation", 20000), ("reference", 30000)):
        assert ((tables[split]["raw_index"] - start) % 7 == 0).all()
        assert tables[split]["raw_index"].between(start, start + 7 * 149).all()
    assert tables["reference"]["label"].value_counts().to_dict() == {0: 10, 1: 15, 2: 15}
    assert tables["reference"]["label"].tolist()[:6] == [0, 1, 2, 0, 1, 2]
    assert raw.validation is not None
    right = predict(classifier, raw.validation.images) == raw.validation.labels
    assert len(tables["validation"]) == int(right.sum()), "at most as many as the classifier gets right"
    rows = torch.from_numpy((tables["test"]["raw_index"].to_numpy() - 10000) // 7)
    assert torch.equal(dataset.split("test").images, raw.test.images[rows])


def test_equal_classes_are_insisted_on_unless_waived(toy: Toy, tmp_path: Path) -> None:
    class Equal(Unequal):
        balanced = True
        split_sizes = Unequal.split_sizes | {"validation": 30}

    raw = RawData(train=part(1, 0), test=part(2, 0))
    with pytest.raises(InvalidParameter, match=r"a split of 60 images needs 20 of each of 3 classes; the smallest"):
        freeze_splits(Equal(tmp_path), raw, toy.network("classifier"), tmp_path)


def test_extra_images_are_learnt_from_and_never_in_the_pool(toy: Toy) -> None:
    raw = RawData(train=part(1, 0), test=part(2, 0), extra=part(3, 0))
    assert len(raw.training) == 300
    assert torch.equal(raw.training.labels[150:], part(3, 0).labels)
    assert len(raw.train) == 150


def test_half_precision_halves_the_file_and_is_what_was_measured(tmp_path: Path) -> None:
    class Half(Toy):
        networks = {"classifier": replace(Toy.networks["classifier"], half=True)}

    raw = Toy().raw(None)
    entry = train_network(Half(tmp_path), "classifier", raw, tmp_path)
    stored = load_file(tmp_path / entry.file)
    assert {value.dtype for value in stored.values()} == {torch.float16, torch.int64}
    accuracy = float((predict(Half(tmp_path).network("classifier"), raw.test.images) == raw.test.labels).float().mean())
    assert entry.quality["accuracy"] == pytest.approx(accuracy, abs=1e-6)


@pytest.mark.parametrize("name", Toy.networks)
def test_training_elsewhere_gives_a_network_as_good(name: str, toy_folder: Path, tmp_path: Path) -> None:
    raw = RawData(train=render(60, 1), test=render(40, 2))
    for folder in ("here", "away"):
        shutil.copytree(toy_folder, tmp_path / folder)
    here = train_network(Toy(toy_folder), name, raw, tmp_path / "here")
    with pretending():
        away = train_network(Toy(toy_folder), name, raw, tmp_path / "away", device=DEVICE)
    assert away.quality == pytest.approx(here.quality, rel=1e-3), "but for sums in another order"
