"""What does not fit together, or cannot be judged, is refused with a clear message."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import exit_code
from exported import Export, altered, pair, pictures

from cfbench.errors import CfbenchError, CorruptFile, InvalidParameter, MissingResource, UnknownName
from cfbench.image_sets import open_images
from cfbench.images import dequantise
from cfbench.imports import Imported, judges_of_import
from cfbench.user_networks import user_networks


def test_unpaired_and_different_images_are_refused(export: Export, tmp_path: Path) -> None:
    stored = export.task.stored.numpy()
    images = pictures(tmp_path / "a", stored[:3], ["x", "y", "z"])
    queries = pictures(tmp_path / "b", stored[:6], ["w", "x", "y", "u", "v", "t"])
    with pytest.raises(InvalidParameter, match=r"3 images and .* 6; without a query: z; .*: t, u, v and 1 more"):
        Imported.paired(open_images(images), open_images(queries))
    small = altered(export, tmp_path, images=stored).queries
    np.savez(tmp_path / "large.npz", images=np.zeros((60, 14, 12), dtype=np.uint8))
    with pytest.raises(InvalidParameter, match=r"images differ in shape .*\[1, 14, 12\].*\[1, 12, 12\].*one size"):
        Imported.paired(open_images(tmp_path / "large.npz"), small)
    with pytest.raises(InvalidParameter, match=r"images differ in shape .*large.npz.*\[1, 14, 12\]"):
        Imported.paired(small, small, reference=open_images(tmp_path / "large.npz"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,target\n000000,1\n", "has no target for 000001, 000002, 000003 and 56 more"),
        ("name,goal\n000000,1\n", "has columns name, goal and 1 rows; expected name and target for 60 images"),
        ("target\n1\n", "has columns target and 1 rows; expected name and target for 60 images"),
        ("target\n" + 59 * "1\n" + "0.5\n", "targets are fractions; expected class numbers, 0 for the first"),
        ("target\n" + 60 * "left\n", "targets are .*; expected class numbers"),
        ("name,target\n000000,1\n000000,2\n", "has several targets for 000000; give one a name"),
        ("", "is not a readable CSV file .*; save it again"),
    ],
)
def test_targets_that_say_no_class_for_every_image_are_refused(
    text: str, message: str, export: Export, tmp_path: Path
) -> None:
    (tmp_path / "targets.csv").write_text(text)
    with pytest.raises(CfbenchError, match=message):
        pair(export.folder, targets=tmp_path / "targets.csv")


def test_missing_targets_are_refused(export: Export, tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", images=export.made)
    shutil.copy(tmp_path / "images.npz", tmp_path / "queries.npz")
    with pytest.raises(InvalidParameter, match="there are no targets; give --targets CSV"):
        pair(tmp_path)
    with pytest.raises(MissingResource, match=r"none.csv is missing; give a CSV file with columns name and target"):
        pair(tmp_path, targets=tmp_path / "none.csv")


def test_targets_that_are_no_class_are_refused(export: Export, tmp_path: Path) -> None:
    for wrong in (-1, 3):
        targets = export.task.targets.numpy().copy()
        targets[7] = wrong
        with pytest.raises(InvalidParameter, match=f"target {wrong} of 000007 is not a class; expected 0 to 2"):
            judges_of_import(altered(export, tmp_path, targets=targets), [], export.task)


@pytest.mark.parametrize(
    ("role", "factory", "message"),
    [
        ("classifier", "colour", r"classifier classifier fails on images \[2, 1, 12, 12\] in \[0, 1\]: .*channels"),
        ("classifier", "one_logit", r"gives \[2, 1\] .* two or more classes \(give a single logit z as \[0, z\]\)"),
        ("oracle", "four_classes", "numbers of classes differ: {'oracle': 4, 'toy@v1': 3}; all judges must know"),
        ("extractor", "colour", r"extractor extractor fails on images \[2, 1, 12, 12\]"),
        ("autoencoder", "one_logit", r"autoencoder gives \[2, 1\] .*; expected images of that shape"),
        ("classifier", "oracles", "there are 2 classifiers, classifier-1, classifier-2; give one to explain"),
    ],
)
def test_networks_that_cannot_judge_these_images_are_refused(
    role: str, factory: str, message: str, export: Export
) -> None:
    members = user_networks(role, f"{export.networks}:{factory}")
    with pytest.raises(InvalidParameter, match=message):
        judges_of_import(pair(export.folder), members, export.task)


@pytest.mark.parametrize(
    ("role", "spec", "kind", "message"),
    [
        ("oracle", "{networks}:a_number", InvalidParameter, "a_number gives int .*expected a torch.nn.Module"),
        ("oracle", "{networks}:raises", InvalidParameter, "raises fails: ValueError: no weights here"),
        ("oracle", "{networks}:absent", InvalidParameter, "has no function absent; give file.py:factory"),
        ("oracle", "none.py:make", MissingResource, "none.py is missing"),
        ("oracle", "none.pt", MissingResource, "none.pt is missing; give a TorchScript file"),
        ("oracle", "net.onnx", InvalidParameter, "neither a TorchScript file .* nor file.py:factory"),
        ("oracle", "{folder}/state.pt", CorruptFile, "state.pt is not a TorchScript file .*; save .* torch.jit.save"),
        ("oracel", "{networks}:oracles", UnknownName, "unknown role 'oracel' .*; choose from classifier, oracle"),
    ],
)
def test_specs_that_name_no_network_are_refused(
    role: str, spec: str, kind: type[CfbenchError], message: str, export: Export
) -> None:
    torch.save(export.task.load("classifier").state_dict(), export.folder / "state.pt")
    with pytest.raises(kind, match=message):
        user_networks(role, spec.format(networks=export.networks, folder=export.folder))


def test_nobody_to_judge_and_images_of_another_shape_are_refused(export: Export, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="nobody says what the classifier sees; give --task, --classifier"):
        judges_of_import(pair(export.folder), [], None)
    flat = np.zeros((60, 14, 14), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=flat)
    np.savez(tmp_path / "queries.npz", images=flat, targets=export.task.targets.numpy())
    with pytest.raises(InvalidParameter, match=r"images are \[1, 14, 14\], toy@v1 has \[1, 12, 12\]; scale them"):
        judges_of_import(pair(tmp_path), [], export.task)


def test_predictions_that_are_no_classes_are_refused(export: Export, tmp_path: Path) -> None:
    halves = np.full(60, 0.5)
    np.savez(tmp_path / "images.npz", images=export.made, predictions=halves)
    targets, stored = export.task.targets.numpy(), export.task.stored.numpy()
    np.savez(tmp_path / "queries.npz", images=stored, predictions=np.zeros(60, dtype=int), targets=targets)
    with pytest.raises(InvalidParameter, match=r"predictions in .*images.npz are fractions; expected class numbers"):
        judges_of_import(pair(tmp_path), [], None)


def test_held_out_images_need_labels(export: Export, tmp_path: Path) -> None:
    reference = open_images(export.folder / "queries.npz")
    members = user_networks("classifier", f"{export.networks}:classifier")
    judges = judges_of_import(pair(export.folder, reference=reference), members, None)
    with pytest.raises(InvalidParameter, match=r"queries.npz has no labels; save the class of each real image"):
        judges.reference  # noqa: B018
    np.savez(tmp_path / "real.npz", images=export.task.stored.numpy(), labels=export.task.sources.numpy())
    judges = judges_of_import(pair(export.folder, reference=open_images(tmp_path / "real.npz")), members, None)
    assert torch.equal(judges.reference.labels, export.task.sources)
    assert torch.equal(dequantise(judges.reference.images), export.task.images(slice(None)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "nobody says what the classifier sees"),
        (["--network", "oracle"], "--network 'oracle' is not of the form ROLE=SPEC"),
        (["--classifier", "none.pt"], "none.pt is missing"),
        (["--targets", "none.csv"], "none.csv is missing"),
    ],
)
def test_the_command_line_refuses_in_one_line(
    options: list[str],
    words: str,
    export: Export,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    files = ("score", "--images", export.folder / "images.npz", "--queries", export.folder / "queries.npz")
    assert exit_code(*files, *options) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert not list(tmp_path.iterdir())
