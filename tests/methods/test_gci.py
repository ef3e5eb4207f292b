"""Generative introspection on the toy task: attributes move towards the target, distances are what they say."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from cfbench.harness import evaluate
from cfbench.record import TABLE
from cfbench.registry import METHODS
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.testing import Toy


@pytest.mark.parametrize("relaxed", [False, True])
def test_attributes_move_from_the_source_to_the_target(relaxed: bool, toy_folder: Path, tmp_path: Path) -> None:
    task = Task(Toy(toy_folder))
    method = METHODS.load("gci")(relaxed=relaxed, inversion=10, steps=25, rounds=4, rate=0.1)
    _, run = evaluate(method, task, root=tmp_path)
    table = pd.read_parquet(run / TABLE)
    moved = torch.tensor(table[[f"method_attribute_{index}" for index in range(3)]].to_numpy())
    assert moved.abs().max() <= 1
    rows = torch.arange(len(moved))
    towards, away = moved[rows, task.targets], moved[rows, task.sources]
    assert (towards >= 0).all()
    assert (away <= 0).all()
    assert (towards - away).max() > 0
    made = torch.cat([shard.images for shard in RunFolder(run).shards()])
    distance = (made.double() - task.stored.double()).abs().flatten(1).mean(1) / 255
    assert table["method_distance_query"].to_numpy() == pytest.approx(distance.numpy(), abs=0.003)
    gap = table["method_distance_query"] - table["method_distance_reconstruction"]
    assert (gap <= table["method_inversion_error"] + 1e-6).all(), "the triangle inequality"
