"""What cannot be a task of one's own pictures is refused in one line; what is damaged is named, never slipped over."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import exit_code
from own_pictures import CLASSES
from PIL import Image

from cfbench.from_folder import plan_task

Spoil = Callable[[Path], None]


def lone(folder: Path) -> None:
    for name in CLASSES[1:]:
        shutil.rmtree(folder / "pictures" / name)


def loose(folder: Path) -> None:
    lone(folder)
    for path in (folder / "pictures" / "left").iterdir():
        path.rename(folder / "pictures" / path.name)
    (folder / "pictures" / "left").rmdir()


def few(folder: Path) -> None:
    for path in sorted((folder / "pictures" / "middle").iterdir())[5:]:
        path.unlink()


def split_by_hand(folder: Path, *, extra: str) -> None:
    whole = folder / "pictures"
    whole.rename(folder / "train")
    whole.mkdir()
    (folder / "train").rename(whole / "train")
    shutil.copytree(whole / "train", whole / "test")
    shutil.copytree(whole / "train" / "left", whole / extra)


def unknown_class(folder: Path) -> None:
    split_by_hand(folder, extra="test/zebra")


def unexpected(folder: Path) -> None:
    split_by_hand(folder, extra="spare")


def twice(folder: Path) -> None:
    shutil.copy(folder / "pictures" / "left" / "000.png", folder / "pictures" / "right" / "copy.png")


def empty(folder: Path) -> None:
    (folder / "pictures" / "upper").mkdir()


def deep(folder: Path) -> None:
    Image.fromarray(np.zeros((12, 12), np.uint16)).save(folder / "pictures" / "left" / "000.png")


def truncated(folder: Path) -> None:
    path = folder / "pictures" / "middle" / "001.png"
    path.write_bytes(path.read_bytes()[:60])
    (folder / "pictures" / "right" / "002.png").write_text("no picture")


def nothing(folder: Path) -> None: ...


def gone(folder: Path) -> None:
    shutil.rmtree(folder / "pictures")


@pytest.mark.parametrize(
    ("spoil", "options", "words"),
    [
        (lone, [], ["has one class (left); expected two folders or more"]),
        (loose, [], ["has no folder of a class and 30 pictures that are in none"]),
        (few, [], ["class 'middle'", "has 3 pictures to train on and 2 held out; expected at least 6 and 4"]),
        (unknown_class, [], ["unknown class 'zebra'", "train has none"]),
        (unexpected, [], ["has spare/ beside train/ and test/"]),
        (twice, [], ["000.png and", "copy.png are the same picture in two classes"]),
        (empty, [], ["upper has no pictures (.png"]),
        (deep, [], ["1 of 90 pictures cannot be read", "left/000.png has more than 8 bits"]),
        (truncated, [], ["2 of 90 pictures cannot be read", "middle/001.png", "--skip-damaged"]),
        (gone, [], ["pictures is missing; give a folder"]),
        (nothing, ["--size", "13"], ["size 13 is not possible; choose an even number from 8 to 256"]),
        (nothing, ["--name", "mnist"], ["there is a task 'mnist' already"]),
        (nothing, ["--classifier", "judge.py:two_classes"], ["gives 2 logits; the folder has 3 classes"]),
        (nothing, ["--classifier", "judge.py:wrong_way"], ["gets 0 of 36 held-out pictures right", "in this order"]),
        (nothing, ["--classifier", "judge.py:absent"], ["has no function absent"]),
        (nothing, ["--classifier", "net.h5"], ["is none of a TorchScript file", "timm:NAME"]),
        (nothing, ["--classifier", "net.pt", "--channels", "3", "--train"], ["goes without TASK, --train"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_what_cannot_be_a_task_is_refused_in_one_line(
    spoil: Spoil,
    options: list[str],
    words: list[str],
    own: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(own / "pictures", tmp_path / "pictures")
    shutil.copy(own / "judge.py", tmp_path / "judge.py")
    monkeypatch.chdir(tmp_path)
    spoil(tmp_path)
    assert exit_code("prepare", "--from-folder", "pictures", "--size", "12", "--out", "task", *options) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    for word in words:
        assert word in line


def test_damaged_pictures_and_copies_are_left_out_and_counted(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own / "pictures", tmp_path / "pictures")
    truncated(tmp_path)
    shutil.copy(own / "pictures" / "left" / "000.png", tmp_path / "pictures" / "left" / "again.png")
    plan = plan_task(tmp_path / "pictures", side=12, skip_damaged=True, out=tmp_path / "task")
    assert (plan.facts.skipped, plan.facts.duplicates) == (2, 1)
    assert plan.facts.training + plan.facts.held_out == 88
    names = plan.pictures.pictures["file"][torch.cat([plan.raw.train.numbers, plan.raw.test.numbers]).tolist()]
    assert not {"middle/001.png", "right/002.png"} & set(names)


def test_a_changed_file_of_a_task_is_refused(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(own / "cache" / "tasks" / "squares", tmp_path / "task")
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "task" / "networks" / "classifier.pt"
    script.write_bytes(script.read_bytes() + b" ")
    assert exit_code("evaluate", "--method", "identity", "--task", "task") == 2
    assert "classifier.pt is corrupt or truncated" in capsys.readouterr().err
    facts = json.loads((tmp_path / "task" / "task.json").read_text())
    facts["facts"]["classes"] = ["right", "middle", "left"]
    (tmp_path / "task" / "task.json").write_text(json.dumps(facts))
    assert exit_code("list", "tasks", "task") == 2
    assert "task.json was changed" in capsys.readouterr().err


def test_a_folder_of_pictures_is_not_yet_a_task(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("evaluate", "--method", "identity", "--task", str(own / "pictures")) == 2
    assert f"cfbench prepare --from-folder {own / 'pictures'}" in capsys.readouterr().err


def test_options_of_a_new_task_need_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("prepare", "--classifier", "net.pt") == 2
    assert "go with --from-folder" in capsys.readouterr().err
