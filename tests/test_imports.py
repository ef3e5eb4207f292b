"""Counterfactuals made elsewhere score like the run they came from; what does not fit together is refused."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from commands import exit_code
from numpy.typing import NDArray
from PIL import Image

from cfbench.errors import CfbenchError, CorruptFile, InvalidParameter, MissingResource, UnknownName
from cfbench.harness import evaluate
from cfbench.image_sets import open_images
from cfbench.images import dequantise
from cfbench.imports import ELSEWHERE, SAME_CLASS, Imported, judges_of_import, score_import
from cfbench.judges import Member
from cfbench.record import TABLE, Record
from cfbench.registry import METHODS, METRICS
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.testing import Toy
from cfbench.user_networks import user_networks

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


@pytest.fixture(scope="module")
def export(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    folder, task = tmp_path_factory.mktemp("export"), Task(Toy(toy_folder))
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


def test_imported_images_score_like_the_run_they_came_from(export: Export, tmp_path: Path) -> None:
    record, table = scored(pair(export.folder), tmp_path, task=export.task)
    assert record.scores.keys() == export.record.scores.keys()
    families = {name: METRICS.load(name.partition("[")[0]).family for name in record.scores}
    assert "cost" in families.values()
    for name, family in families.items():
        if family == "cost":
            assert record.scores[name]["all"].value is None
            assert record.scores[name]["all"].reason == "the images were made elsewhere"
        else:
            assert record.scores[name] == export.record.scores[name], name
    assert record.provenance.images == export.record.provenance.images
    assert (record.cost, record.status, record.key.method) == (None, "complete", "mine")
    shared = [name for name in export.table.columns if name in table and name != "query_id"]
    assert {"flipped", "l1", "error"} <= set(shared)
    pd.testing.assert_frame_equal(table[shared], export.table[shared])


def test_folders_of_pngs_score_like_npz_files(export: Export, tmp_path: Path) -> None:
    names = export.task.queries["query_id"].tolist()
    images = pictures(tmp_path / "images", export.made, names)
    queries = pictures(tmp_path / "queries", export.task.stored.numpy(), names)
    order = np.random.default_rng(0).permutation(len(names))
    targets = pd.DataFrame({"name": names, "target": export.task.targets.numpy()}).iloc[order]
    targets.to_csv(tmp_path / "targets.csv", index=False)
    imported = Imported.paired(open_images(images), open_images(queries), targets=tmp_path / "targets.csv")
    record, table = scored(imported, tmp_path / "out", task=export.task)
    whole, _ = scored(pair(export.folder), tmp_path / "out", task=export.task)
    assert record.scores == whole.scores
    assert table["query_id"].tolist() == names


def test_a_users_networks_judge_as_the_tasks_own(export: Export, tmp_path: Path) -> None:
    classifier = export.task.load("classifier")
    with torch.no_grad():
        torch.jit.save(torch.jit.trace(classifier, torch.rand(2, 1, 12, 12)), tmp_path / "net.pt")
    members = user_networks("classifier", str(tmp_path / "net.pt"))
    members += user_networks("oracle", f"{export.networks}:oracles")
    record, table = scored(pair(export.folder), tmp_path / "out", members)
    for name in ("flip_rate", "oracle_agreement", "oracle_agreement_min", "oracle_agreed_flip"):
        expected = export.record.scores[name]["all"]
        assert (record.scores[name]["all"].value, record.scores[name]["all"].n) == (expected.value, 60)
    assert (table["flipped"] == export.table["flipped"]).all()
    assert (table["prediction"] == export.table["prediction"]).all()
    assert set(record.key.networks) == {"classifier", "oracle-1", "oracle-2"}
    assert record.scores["flip_rate"]["all"].network == f"classifier@{record.key.networks['classifier']}"
    realism = record.scores["im1"]["all"]
    assert (realism.value, realism.reason) == (None, "there are no autoencoders of all and of each class")


def test_a_factorys_autoencoders_judge_their_classes(export: Export, tmp_path: Path) -> None:
    members = user_networks("classifier", f"{export.networks}:classifier")
    members += user_networks("autoencoder", f"{export.networks}:autoencoders")
    assert [member.name for member in members[1:]] == [f"autoencoder-{name}" for name in ("all", 0, 1, 2)]
    record, table = scored(pair(export.folder), tmp_path, members)
    shifts = np.array([0.1, 0.2, 0.4])
    sources, targets = export.task.sources.numpy(), export.task.targets.numpy()
    np.testing.assert_allclose(table["im1"], (shifts[targets] / shifts[sources]) ** 2, rtol=1e-5)
    sizes = np.abs(export.made / 255 - 0.5).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(table["im2"], 144 * (shifts[targets] - 0.5) ** 2 / sizes, rtol=1e-5)
    assert record.scores["im1"]["all"].n == 60


def test_predictions_in_the_files_stand_in_for_a_classifier(export: Export, tmp_path: Path) -> None:
    queries = {"images": export.task.stored.numpy(), "targets": export.task.targets.numpy()}
    np.savez(tmp_path / "images.npz", images=export.made, predictions=export.table["prediction"].to_numpy())
    np.savez(tmp_path / "queries.npz", predictions=export.task.sources.numpy(), **queries)
    record, table = scored(pair(tmp_path), tmp_path / "out")
    assert (table["flipped"] == export.table["flipped"]).all()
    for name in ("flip_rate", "untargeted_flip_rate", "l1", "elastic_net"):
        assert record.scores[name]["all"].value == export.record.scores[name]["all"].value
    assert record.scores["flip_rate"]["all"].network.startswith("predictions in images.npz@")
    confidence = record.scores["target_confidence"]["all"]
    assert (confidence.value, confidence.reason) == (None, "there is no network of role classifier")


def test_failures_stay_in_every_denominator(export: Export, tmp_path: Path) -> None:
    failed = np.arange(60) % 5 == 0
    targets = export.task.targets.numpy().copy()
    targets[1] = export.task.sources[1]
    np.savez(tmp_path / "images.npz", images=export.made, failed=failed)
    np.savez(tmp_path / "queries.npz", images=export.task.stored.numpy(), targets=targets)
    record, table = scored(pair(tmp_path), tmp_path / "out", task=export.task)
    assert table["error"].tolist() == [
        ELSEWHERE if flag else SAME_CLASS if index == 1 else "" for index, flag in enumerate(failed)
    ]
    lost = table["error"] != ""
    assert record.queries.failed == lost.sum() == 13
    assert not table.loc[lost, "flipped"].any()
    assert (table.loc[lost, "l1"] == 0).all()
    flip, change = record.scores["flip_rate"]["all"], record.scores["l1"]["all"]
    assert (flip.n, change.n) == (60, 60)
    assert flip.value == export.table.loc[~lost, "flipped"].sum() / 60
    assert change.value == pytest.approx(export.table.loc[~lost, "l1"].sum() / 60)
    nothing = altered(export, tmp_path, targets=export.task.sources.numpy())
    assert scored(nothing, tmp_path / "out", task=export.task)[0].status == "failed"


def test_the_record_belongs_to_images_queries_targets_and_networks(export: Export, tmp_path: Path) -> None:
    stored, targets = export.task.stored.numpy().copy(), export.task.targets.numpy().copy()
    made = export.made.copy()
    made[0, 0, 0, 0] ^= 1
    stored[0, 0, 0, 0] ^= 1
    targets[0] = 3 - targets[0] - int(export.task.sources[0])
    members = user_networks("classifier", f"{export.networks}:classifier")
    oracle = user_networks("oracle", f"{export.networks}:classifier")
    autoencoders = user_networks("autoencoder", f"{export.networks}:autoencoders")
    keys = [
        scored(imported, tmp_path / "out", judges)[0].key
        for imported, judges in (
            (altered(export, tmp_path), members),
            (altered(export, tmp_path, images=made), members),
            (altered(export, tmp_path, images=stored), members),
            (altered(export, tmp_path, targets=targets), members),
            (altered(export, tmp_path), [*members, *oracle]),
            (altered(export, tmp_path), [*members, *autoencoders]),
        )
    ]
    assert len({key.digest for key in keys}) == len(keys)
    assert len(list((tmp_path / "out").rglob("run.json"))) == len(keys)
    assert scored(altered(export, tmp_path), tmp_path / "out", members)[0].key == keys[0]


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


def test_the_command_line_scores_imported_images(
    export: Export, toy_key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = ("score", "--images", export.folder / "images.npz", "--queries", export.folder / "queries.npz")
    assert exit_code(*files, "--task", toy_key, "--name", "mine") == 0
    shown = capsys.readouterr().out
    assert "mine on toy@v1" in shown
    assert "complete: 60 images made elsewhere" in shown
    assert "blank, the images were made elsewhere: backwards" in shown
    [record] = tmp_path.rglob("run.json")
    flips = Record.read(record.parent).scores["flip_rate"]
    assert flips == export.record.scores["flip_rate"]
    own = ("--classifier", f"{export.networks}:classifier", "--oracle", f"{export.networks}:oracles")
    assert exit_code(*files, *own, "--out", "own") == 0
    [record] = (tmp_path / "own").rglob("run.json")
    assert Record.read(record.parent).scores["flip_rate"]["all"].value == flips["all"].value


def test_two_sets_of_images_on_the_same_queries_are_compared(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("nothing.npz", images=export.task.stored.numpy())
    own = ("--queries", export.folder / "queries.npz", "--classifier", f"{export.networks}:classifier")
    for images in (export.folder / "images.npz", tmp_path / "nothing.npz"):
        assert exit_code("score", "--images", images, *own) == 0
    [attack] = tmp_path.rglob("images-*/run.json")
    [nothing] = tmp_path.rglob("nothing-*/run.json")
    assert exit_code("compare", attack.parent, nothing.parent, "--metrics", "flip_rate,l1", "--out", "table.csv") == 0
    assert "A = images (1 seed), B = nothing (1 seed); all shared queries" in capsys.readouterr().out
    table = pd.read_csv("table.csv").set_index("metric")
    assert table["verdict"].to_dict() == {"flip_rate": "A better", "l1": "B better"}
    assert table.loc["flip_rate", "difference"] == pytest.approx(export.table["flipped"].mean())
    assert table.loc["l1", "difference"] == pytest.approx(export.table["l1"].mean())
    assert (table["n"] == 60).all()


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
