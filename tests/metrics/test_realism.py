"""Intervals, floors and reasons of the set distances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from judged import piece_of, scores_of

from cfbench.batch import Batch
from cfbench.collector import groups_of
from cfbench.distances.intervals import GROUPS, jackknife
from cfbench.harness import evaluate
from cfbench.judges import Judges
from cfbench.metrics import realism
from cfbench.metrics.realism import FrechetDistance, NormalisedSplitFrechetDistance, SplitFrechetDistance
from cfbench.registry import METHODS, load_dataset
from cfbench.scoring import batch_of
from cfbench.task import Task


def shifted(task: Task) -> Batch:
    """The task's queries moved two rows down, as counterfactuals."""
    made = task.stored.roll(2, dims=2)
    return batch_of(piece_of(task.stored, made, sources=task.sources, targets=task.targets), Judges.of(task))


def test_jackknife_groups_are_equal_and_mix_the_classes_that_queries_take_in_turn() -> None:
    task = Task(load_dataset("fashion-mnist"))
    labels = task.queries["source"].to_numpy()
    groups = groups_of(np.arange(len(task)))
    for group in range(GROUPS):
        members = labels[groups == group]
        assert len(members) == len(task) / GROUPS
        assert len(set(members)) >= 8, "by position, a group would be one or two of the ten classes"


def test_the_interval_is_that_of_a_jackknife_over_pairs_left_out(task: Task) -> None:
    """The moments kept a group give what recomputing from the features gives."""
    from pytorch_fid.fid_score import calculate_frechet_distance

    batch = shifted(task)
    score = scores_of(FrechetDistance, batch)["all"]
    made, queries = (batch.features(batch.judges.spaces[0], which).numpy() for which in ("counterfactuals", "queries"))
    groups = groups_of(np.arange(len(task)))

    def distance(left_out: tuple[int, ...]) -> float:
        kept = ~np.isin(groups, left_out)
        moments = [(part.mean(axis=0), np.cov(part, rowvar=False)) for part in (made[kept], queries[kept])]
        return float(calculate_frechet_distance(*moments[0], *moments[1]))

    expected = jackknife(distance)
    assert score.value == pytest.approx(distance(()), rel=1e-5)
    assert score.corrected == pytest.approx(expected.estimate, rel=1e-4)
    assert score.replicates == pytest.approx(expected.replicates, rel=1e-5)
    assert score.ci95 == pytest.approx(np.clip(expected.interval, 0, None), rel=1e-4, abs=1e-12)


def test_the_normalised_distance_is_the_distance_over_the_total_variance_of_the_real_features(task: Task) -> None:
    """The variance of a mixture: within the classes, plus between their means, weighted as the targets are."""
    batch = shifted(task)
    plain, normalised = (scores_of(kind, batch) for kind in (SplitFrechetDistance, NormalisedSplitFrechetDistance))
    real = batch.judges.reference_features(batch.judges.spaces[0]).numpy()
    labels = batch.judges.reference.labels.numpy()
    targets = task.targets.numpy()
    for subset, chosen in (("all", targets), ("flipped", targets[batch.flipped.numpy()])):
        if plain[subset].value is None:
            assert "needs at least 40 images" in str(normalised[subset].reason)
            continue
        shares = np.bincount(chosen, minlength=3) / len(chosen)
        parts = [real[labels == label] for label in range(3)]
        means = np.stack([part.mean(axis=0) for part in parts])
        within = sum(share * part.var(axis=0, ddof=1).sum() for share, part in zip(shares, parts, strict=True))
        between = (shares[:, None] * np.square(means - shares @ means)).sum()
        assert normalised[subset].value == pytest.approx(plain[subset].value / (within + between), rel=1e-9)
    assert plain["all"].value is not None


def test_a_copy_of_the_queries_is_below_the_floor_and_real_target_images_are_near_it(
    task: Task, tmp_path: Path
) -> None:
    identity, _ = evaluate(METHODS.load("identity")(), task, root=tmp_path)
    nearest, _ = evaluate(METHODS.load("nearest-unlike")(), task, root=tmp_path)
    assert identity.scores["fd"]["all"].value < identity.scores["fd"]["all"].floor
    real = nearest.scores["split_fd"]["all"]
    assert real.floor is not None
    assert real.floor > 0
    assert real.value < identity.scores["split_fd"]["all"].value


def test_limits_of_an_interval_stay_in_bounds_and_in_order(task: Task) -> None:
    """Of real images of the target classes: the corrected distance is near 0, often below."""
    reference = task.dataset.split("reference")
    for seed in range(4):
        stream = torch.Generator().manual_seed(seed)
        drawn = torch.stack(
            [
                reference.images[members[torch.randint(len(members), (), generator=stream)]]
                for target in task.targets.tolist()
                for members in [(reference.labels == target).nonzero()[:, 0]]
            ]
        )
        batch = batch_of(piece_of(task.stored, drawn, sources=task.sources, targets=task.targets), Judges.of(task))
        low, high = scores_of(SplitFrechetDistance, batch)["all"].ci95 or (1, 0)
        assert 0 <= low <= high


def test_below_five_images_a_feature_there_is_no_interval(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    score = scores_of(FrechetDistance, shifted(task))["all"]
    monkeypatch.setattr(realism, "FULL", 16)
    short = scores_of(FrechetDistance, shifted(task))["all"]
    assert (short.value, short.n) == (score.value, score.n)
    assert short.ci95 is short.corrected is None
    assert len(short.replicates or ()) == GROUPS
