"""Scores from stored images: reference rows, subsets, reproducibility."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cfbench.distances.intervals import GROUPS
from cfbench.harness import evaluate
from cfbench.images import dequantise
from cfbench.judges import Judges
from cfbench.pieces import pieces_of
from cfbench.record import TABLE
from cfbench.recording import rescore
from cfbench.registry import METHODS, metric_of
from cfbench.scoring import score
from cfbench.store import RunFolder
from cfbench.task import Task


def run(name: str, task: Task, root: Path, **parameters: object):
    return evaluate(METHODS.load(name)(**parameters), task, root=root)


def test_identity_never_flips_and_is_close(task: Task, tmp_path: Path) -> None:
    record, _ = run("identity", task, tmp_path)
    scores = record.scores
    assert scores["flip_rate"]["all"].value == 0
    assert scores["l1"]["all"].value == scores["sparsity"]["all"].value == scores["feat_dist"]["all"].value == 0
    assert scores["fd"]["all"].value == pytest.approx(0, abs=1e-6)
    assert scores["fd"]["all"].floor > 1e-3
    assert scores["l1"]["flipped"].value is None
    assert scores["l1"]["flipped"].reason == "no query was flipped"


def test_nearest_unlike_always_flips_and_pgd_does_not_convince(task: Task, tmp_path: Path) -> None:
    nearest, _ = run("nearest-unlike", task, tmp_path)
    assert nearest.scores["flip_rate"]["all"].value == 1
    attack, _ = run("pgd", task, tmp_path, epsilon=0.3)
    agreed = attack.scores["oracle_agreed_flip"]["all"].value
    assert agreed <= attack.scores["flip_rate"]["all"].value
    assert agreed < nearest.scores["oracle_agreed_flip"]["all"].value


def test_scores_follow_from_the_query_table(task: Task, tmp_path: Path) -> None:
    record, folder = run("pgd", task, tmp_path, epsilon=0.2)
    table = pd.read_parquet(folder / TABLE)
    flipped = table["prediction"] == table["target"]
    assert (flipped == table["flipped"]).all()
    assert record.scores["flip_rate"]["all"].value == flipped.mean()
    agree = np.stack([table[f"{oracle}_prediction"] == table["target"] for oracle in ("oracle-1", "oracle-2")])
    assert record.scores["oracle_agreement"]["all"].value == pytest.approx(agree.mean())
    assert record.scores["oracle_agreement_min"]["all"].value == agree.mean(axis=1).min()
    assert record.scores["oracle_agreed_flip"]["all"].value == pytest.approx((agree & flipped.to_numpy()).mean())
    assert record.scores["l1"]["flipped"].value == pytest.approx(table.loc[flipped, "l1"].mean())
    assert record.scores["l1"]["flipped"].n == flipped.sum()


def test_pixel_metrics_against_numpy_on_the_stored_bytes(task: Task, tmp_path: Path) -> None:
    _, folder = run("noise", task, tmp_path, epsilon=0.1)
    made = np.concatenate([shard.images.numpy() for shard in RunFolder(folder).shards()]).astype(float)
    change = np.abs(made - task.stored.numpy().astype(float))
    table = pd.read_parquet(folder / TABLE)
    np.testing.assert_allclose(table["l1"], change.mean(axis=(1, 2, 3)) / 255, rtol=1e-5)
    np.testing.assert_allclose(table["l2"], np.sqrt((change**2).mean(axis=(1, 2, 3))) / 255, rtol=1e-5)
    np.testing.assert_array_equal(table["sparsity"], (change.max(axis=1) > 10).mean(axis=(1, 2)))


def test_feature_distance_is_the_lpips_packages_form(task: Task, tmp_path: Path) -> None:
    import lpips

    _, folder = run("noise", task, tmp_path)
    made = torch.cat([shard.images for shard in RunFolder(folder).shards()])
    extractor = task.load("extractor")
    with torch.no_grad():
        pairs = zip(extractor.blocks(dequantise(made)), extractor.blocks(task.images(slice(None))), strict=True)
        layers = [
            (lpips.normalize_tensor(a) - lpips.normalize_tensor(b)).square().sum(1, keepdim=True) for a, b in pairs
        ]
    expected = torch.stack([lpips.spatial_average(layer).flatten() for layer in layers]).mean(0)
    np.testing.assert_allclose(pd.read_parquet(folder / TABLE)["feat_dist"], expected, rtol=1e-4)


def test_frechet_to_queries_is_torchmetrics_on_the_same_features(task: Task, tmp_path: Path) -> None:
    from torchmetrics.image.fid import _compute_fid

    record, folder = run("noise", task, tmp_path)
    made = torch.cat([shard.images for shard in RunFolder(folder).shards()])
    extractor = task.load("extractor")
    with torch.no_grad():
        features = [extractor.embed(dequantise(images)).double() for images in (made, task.stored)]
    moments = [(values.mean(0), torch.cov(values.T)) for values in features]
    expected = float(_compute_fid(*moments[0], *moments[1]))
    assert record.scores["fd"]["all"].value == pytest.approx(expected, rel=1e-4)
    assert (
        record.scores["fd"]["all"].ci95[0] < record.scores["fd"]["all"].corrected < record.scores["fd"]["all"].ci95[1]
    )
    assert len(record.scores["fd"]["all"].replicates) == GROUPS


def test_too_few_images_leave_the_frechet_distance_blank(task: Task, tmp_path: Path) -> None:
    record, _ = evaluate(METHODS.load("identity")(), task, root=tmp_path, limit=39)
    blank = record.scores["fd"]["all"]
    assert (blank.value, blank.n) == (None, 39)
    assert blank.reason == "needs at least 40 images for 4 features, has 39"


def test_scoring_again_gives_the_same_bits(task: Task, tmp_path: Path) -> None:
    record, folder = run("noise", task, tmp_path)
    again, before = rescore(RunFolder(folder), task)
    assert before == record.scores
    assert again.scores == record.scores


def test_a_sharded_run_scores_like_a_whole_one(task: Task, tmp_path: Path) -> None:
    _, whole = evaluate(METHODS.load("noise")(), task, root=tmp_path / "a", batch_size=60)
    _, parts = evaluate(METHODS.load("noise")(), task, root=tmp_path / "b", batch_size=7)
    found = [score(pieces_of(RunFolder(folder), task, 60), Judges.of(task)) for folder in (whole, parts)]
    timeless = [{name: each for name, each in part.scores.items() if name != "seconds"} for part in found]
    assert timeless[0] == timeless[1]
    assert found[0].images_hash == found[1].images_hash


def test_every_score_says_what_made_it(task: Task, tmp_path: Path) -> None:
    record, _ = run("noise", task, tmp_path)
    for name, subsets in record.scores.items():
        for found in subsets.values():
            assert found.version >= 1
            assert (found.ci95 is None) == (found.reason is not None), name
            if found.value is not None and found.n >= 50:
                assert (found.ci95 is None) == (metric_of(name).family == "cost"), name
    assert record.scores["flip_rate"]["all"].network.startswith("classifier@")
    assert record.scores["split_fd"]["all"].network.startswith("extractor@")
    assert record.scores["split_fd"]["all"].network.endswith(" pooled")
