"""Intervals and floors of the set distances on a task with classes in turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cfbench.harness import evaluate
from cfbench.judges import Batch, Judges
from cfbench.metrics.official import FID
from cfbench.metrics.realism import FrechetDistance, SplitFrechetDistance
from cfbench.registry import METHODS, load_dataset
from cfbench.task import Task


@pytest.mark.parametrize("kind", [FrechetDistance, SplitFrechetDistance, FID])
def test_jackknife_groups_are_equal_and_mix_the_classes_that_queries_take_in_turn(kind: type[FrechetDistance]) -> None:
    task = Task(load_dataset("fashion-mnist"))
    metric = kind(Judges(task))
    labels = task.queries["source"].to_numpy()
    for group in range(metric.groups):
        members = labels[metric._group_of == group]
        assert len(members) == len(task) / metric.groups
        assert len(set(members)) >= 8, "by position, a group would be one or two of the ten classes"


def test_the_interval_is_that_of_a_jackknife_over_shuffled_pairs(task: Task) -> None:
    """The moments kept a group give what recomputing from the features gives."""
    metric = FrechetDistance(Judges(task))
    stored = task.stored.roll(2, dims=2)
    batch = Batch(metric.judges, torch.arange(len(task)), stored, torch.zeros(len(task), dtype=torch.bool))
    with torch.inference_mode():
        metric.update(batch)
        made, queries = metric.embed(batch, "counterfactuals"), metric.embed(batch, "queries")

    def distance(kept: np.ndarray) -> float:
        from pytorch_fid.fid_score import calculate_frechet_distance

        moments = [(part.mean(axis=0), np.cov(part, rowvar=False)) for part in (made[kept], queries[kept])]
        return float(calculate_frechet_distance(*moments[0], *moments[1]))

    everything = np.ones(len(task), dtype=bool)
    score = metric.compute()["all"]
    assert score.value == pytest.approx(distance(everything), rel=1e-5)
    left_out = [distance(metric._group_of != group) for group in range(20)]
    error = np.sqrt(19 / 20 * np.square(left_out - np.mean(left_out)).sum())
    assert score.ci95 is not None
    assert score.ci95[1] - score.value == pytest.approx(2.093024 * error, rel=1e-4)


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
