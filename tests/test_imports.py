"""Counterfactuals made elsewhere score like the run they came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from commands import exit_code
from exported import Export, altered, pair, pictures, scored

from cfbench.image_sets import open_images
from cfbench.imports import ELSEWHERE, SAME_CLASS, Imported
from cfbench.record import Record
from cfbench.registry import METRICS
from cfbench.user_networks import user_networks


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
    assert record.provenance.accuracies == export.record.provenance.accuracies
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
