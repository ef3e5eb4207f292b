"""A task of one's own pictures: made by one command, used as any other, stopped and gone on with, never mixed up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from commands import exit_code
from own_pictures import CLASSES, FACTORY, make, save_pictures
from PIL import Image

from cfbench.from_folder import plan_task
from cfbench.preparation import train_network
from cfbench.registry import load_dataset
from cfbench.user_tasks import dataset_class

ORACLES = ("oracle-1", "oracle-2", "oracle-3")


def test_every_image_is_the_picture_that_its_number_names(own: Path) -> None:
    dataset = load_dataset("squares")
    pictures = pd.read_csv(dataset.folder / "pictures.csv", index_col="raw_index")
    assert len(pictures) == 90
    assert pictures["held_out"].groupby(pictures["label"]).sum().tolist() == [12, 12, 12]
    tables = {split: dataset.table(split) for split in ("test", "validation", "reference", "pool")}
    assert {split: len(table) for split, table in tables.items()} == {
        "test": 14,
        "validation": 7,
        "reference": 15,
        "pool": 54,
    }
    taken = pd.concat(tables.values())["raw_index"]
    assert sorted(taken) == list(range(90)), "every picture is used once"
    for split, table in tables.items():
        assert (pictures["held_out"][table["raw_index"]] == (split != "pool")).all()
        images = dataset.split(split).images
        for image, number, label in zip(images, table["raw_index"], table["label"], strict=True):
            file = Path(pictures["file"][number])
            assert file.parent.name == CLASSES[label]
            np.testing.assert_array_equal(image[0], np.asarray(Image.open(own / "pictures" / file)))


def test_near_is_the_second_class_of_the_classifier_that_was_brought(own: Path) -> None:
    dataset = load_dataset("squares")
    table, images = dataset.table("test"), dataset.split("test").images.float()
    ranked = images[:, 0].mean(1).unflatten(1, (3, 4)).mean(2).argsort(1, descending=True)
    assert table["source"].tolist() == table["label"].tolist() == ranked[:, 0].tolist()
    assert table["near"].tolist() == ranked[:, 1].tolist()
    assert dataset.entry("classifier").quality == {"accuracy": 1.0}


def test_it_is_listed_verified_and_evaluated_by_name_and_by_path(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code("list", "tasks") == 0
    assert "squares" in capsys.readouterr().out
    assert exit_code("prepare", "squares") == 0
    assert "all files verified" in capsys.readouterr().out
    keys = []
    for task in ("squares", str(own / "cache" / "tasks" / "squares")):
        assert exit_code("evaluate", "--method", "pgd", "--task", task, "--out", "runs") == 0
        shown = capsys.readouterr().out
        assert f"next: cfbench explain --method pgd --task {task} --query test-00000" in shown
        assert "needs at least" in shown, "too few images for some metrics"
        [path] = tmp_path.rglob("run.json")
        keys.append(json.loads(path.read_text())["key"])
    assert keys[0] == keys[1]
    assert keys[0]["task"] == load_dataset("squares").key
    record = json.loads(path.read_text())
    assert record["status"] == "complete"
    assert record["queries"]["done"] == 14


def test_the_card_has_its_facts_and_the_sheet_its_queries(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("list", "tasks", "squares", "--sheet", str(tmp_path / "sheet.png")) == 0
    shown = capsys.readouterr().out
    for fact in (
        "classes: 3: left, middle, right",
        "image shape: 1 x 12 x 12",
        "14 test, 7 validation",
        "script net.pt",
    ):
        assert fact in shown
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L")).astype(int)
    assert sheet.shape[0] > 200
    assert len(np.unique(sheet)) > 50, "not blank"
    assert exit_code("list", "methods", "pgd", "--sheet", str(tmp_path / "sheet.png")) == 2
    assert "cfbench list tasks NAME --sheet" in capsys.readouterr().err


def test_the_same_command_again_trains_nothing_and_names_weak_judges(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = own / "cache" / "tasks" / "squares"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    assert len(before) == 10
    assert exit_code(*make(own), "--name", "squares") == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")} == before
    accuracies = {name: load_dataset("squares").entry(name).quality.get("accuracy", 1) for name in ORACLES}
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("weak judges: ")]
    assert {name for name in ORACLES if name in line} == {name for name in ORACLES if accuracies[name] < 0.9} != set()


def test_a_network_of_it_is_trained_anew_from_the_same_pictures(own: Path, tmp_path: Path) -> None:
    arguments = ["prepare", "squares", "--train", "--only", "autoencoder-1", "--out", str(tmp_path)]
    assert exit_code(*arguments) == 0
    built = json.loads((tmp_path / "manifest.json").read_text())["networks"]["autoencoder-1"]
    assert built["sha256"] == load_dataset("squares").entry("autoencoder-1").sha256


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
def test_killed_and_made_again_it_is_the_same(own: Path, tmp_path: Path) -> None:
    arguments = [*make(own), "--name", "killed", "--checkpoint-seconds", "0"]
    command = [sys.executable, "-m", "cfbench.cli", *arguments]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=one_thread)
    folder = own / "cache" / "tasks" / "killed"
    deadline = time.monotonic() + 120
    while not list(folder.glob("checkpoints/oracle-*.safetensors")):
        assert process.poll() is None, "ended before it was killed"
        assert time.monotonic() < deadline, "no checkpoint"
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    unfinished = load_dataset("killed").manifest.networks
    assert "autoencoder-2" not in unfinished
    assert exit_code(*arguments) == 0
    killed, whole = load_dataset("killed"), load_dataset("squares")
    assert killed.version == whole.version
    for name in whole.networks:
        assert killed.entry(name).sha256 == whole.entry(name).sha256
    assert killed.split_hash == whole.split_hash


def test_other_pictures_make_another_version_that_is_never_mixed_in(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(own / "pictures", tmp_path / "pictures")
    shutil.copy(own / "net.pt", tmp_path / "net.pt")
    picture = tmp_path / "pictures" / "left" / "000.png"
    Image.fromarray(255 - np.asarray(Image.open(picture))).save(picture)
    assert exit_code(*make(tmp_path), "--name", "squares") == 2
    assert "was made of other pictures" in capsys.readouterr().err
    assert exit_code("prepare", "squares", "--train", "--only", "oracle-1", "--data", "pictures") == 2
    assert "holds other pictures than squares@" in capsys.readouterr().err

    for method in ("noise", "identity"):
        assert exit_code("evaluate", "--method", method, "--task", "squares", "--out", "runs") == 0
    shutil.copytree(own / "cache" / "tasks", "cache/tasks", ignore=shutil.ignore_patterns("squares"))
    monkeypatch.setenv("CFBENCH_CACHE", "cache")
    assert exit_code(*make(tmp_path), "--name", "squares") == 0
    assert exit_code("evaluate", "--method", "identity", "--task", "squares", "--out", "runs") == 0
    noise, identity = Path("runs").glob("*/noise-*"), Path("runs").glob("*/identity-*")
    capsys.readouterr()
    old = next(noise)
    other = next(run for run in identity if run.parent != old.parent)
    assert exit_code("compare", str(old), str(other)) == 2
    assert "cannot be compared: task is" in capsys.readouterr().err
    assert exit_code("score", str(old)) == 2
    assert old.parent.name.partition("-")[0] in capsys.readouterr().err


def test_a_factory_is_frozen_with_its_file_and_its_weights(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(own / "judge.py", tmp_path / "judge.py")
    for part, (count, seed) in {"train": (60, 6), "test": (45, 7)}.items():
        save_pictures(tmp_path / "pictures" / part, count, seed)
    arguments = make(tmp_path, "judge.py:right_way")
    assert exit_code(*arguments, "--out", str(tmp_path / "task")) == 0
    assert f"--task {tmp_path / 'task'}" in capsys.readouterr().out
    dataset = load_dataset(str(tmp_path / "task"))
    pictures = pd.read_csv(dataset.folder / "pictures.csv")
    assert (pictures["file"].str.startswith("test/") == pictures["held_out"]).all()
    images = dataset.split("test")
    logits = dataset.network("classifier")(images.images / 255)
    assert torch.equal(logits.argmax(1), images.labels)
    (tmp_path / "judge.py").write_text(FACTORY + "\n")
    assert exit_code("evaluate", "--method", "identity", "--task", str(tmp_path / "task")) == 2
    assert "put back the file that the task was made with" in capsys.readouterr().err


def test_an_architecture_of_timm_is_trained(own: Path, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    plan = plan_task(
        own / "pictures", classifier="timm:test_resnet", name="other", side=32, channels=3, epochs=2, out=tmp_path
    )
    dataset = dataset_class(plan.facts, tmp_path)()
    entry = train_network(dataset, "classifier", plan.raw, tmp_path)
    assert entry.architecture == "timm test_resnet"
    network = dataset_class(plan.facts, tmp_path)().network("classifier")
    right = network(plan.raw.test.images / 255).argmax(1) == plan.raw.test.labels
    assert entry.quality["accuracy"] == pytest.approx(float(right.float().mean()), abs=1e-6)
