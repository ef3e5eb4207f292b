"""Further counterfactuals of a query that a method hands in: stored, checked, read by the metric of diversity."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cfbench.errors import ContractViolation
from cfbench.harness import evaluate
from cfbench.images import dequantise
from cfbench.metrics.proximity import unit_distance
from cfbench.networks import FeatureNetwork
from cfbench.recording import rescore
from cfbench.registry import METHODS
from cfbench.store import RunFolder, Shard
from cfbench.task import Task

ADAPTER = f"{Path(__file__).parent / 'adapters' / 'several.py'}:Several"


def several(**parameters: Any) -> Any:
    return METHODS.load(ADAPTER).create(parameters)


def stored(folder: Path) -> tuple[Tensor, Tensor]:
    """Counterfactuals ``[N, C, H, W]`` and further ones ``[N, K, C, H, W]`` of a run."""
    shards = list(RunFolder(folder).shards())
    assert all(shard.further is not None for shard in shards)
    return torch.cat([shard.images for shard in shards]), torch.cat(
        [shard.further for shard in shards if shard.further is not None]
    )


def test_what_is_handed_in_is_stored_beside_the_counterfactual(task: Task, tmp_path: Path) -> None:
    _, folder = evaluate(several(), task, root=tmp_path, limit=20)
    images, further = stored(folder)
    assert further.shape == (20, 3, *task.dataset.image_shape)
    assert further.dtype == torch.uint8
    assert torch.equal(further[:, 2], task.stored[:20])
    with torch.no_grad():
        said = task.load("classifier")(dequantise(further[:, :2].flatten(0, 1))).argmax(1)
    assert torch.equal(said, task.targets[:20].repeat_interleave(2))
    assert not (further[:, 0] == images).flatten(1).all(1).any()


@torch.no_grad()
def test_diversity_is_of_the_valid_ones_by_direct_computation_and_takes_no_further_run(
    task: Task, tmp_path: Path
) -> None:
    record, folder = evaluate(several(), task, root=tmp_path, limit=20)
    images, further = stored(folder)
    extractor = task.load("extractor")
    assert isinstance(extractor, FeatureNetwork)
    values = []
    for image, others in zip(images, further, strict=True):
        valid = dequantise(torch.stack([image, others[0], others[1]]))
        maps = [extractor.blocks(each[None]) for each in valid]
        pairs = [
            np.mean([float(unit_distance(a, b)) for a, b in zip(first, second, strict=True)])
            for first, second in itertools.combinations(maps, 2)
        ]
        values.append(np.mean(pairs))
    score = record.scores["diversity"]["all"]
    assert score.value == pytest.approx(np.mean(values), rel=1e-5)
    assert score.n == 20
    assert score.value > 0
    assert record.protocols == []
    assert record.scores["seed_variance"]["all"].value is None, "that is of further runs"

    again, before = rescore(RunFolder(folder), task)
    assert again.scores == before == record.scores
    assert again.provenance.images == record.provenance.images


def test_a_method_that_hands_in_none_needs_further_runs_for_its_diversity(task: Task, tmp_path: Path) -> None:
    record, folder = evaluate(METHODS.load("noise")(), task, root=tmp_path, limit=20)
    reason = record.scores["diversity"]["all"].reason
    assert reason == "needs further runs, made by cfbench evaluate --protocol seeds"
    for shard in RunFolder(folder).shards():
        assert shard.further is None
        with np.load(next((folder / "counterfactuals").glob("*.npz"))) as arrays:
            assert set(arrays) == {"images", "errors", "facts"}, "runs of earlier versions hold the same"


def test_those_of_a_batch_survive_a_query_that_fails(task: Task, tmp_path: Path) -> None:
    whole, expected = stored(evaluate(several(), task, root=tmp_path)[1])
    record, folder = evaluate(several(refuse=True), task, root=tmp_path)
    failed = task.images(slice(None))[:, 0, 0, 0] < 0.1
    assert 0 < int(failed.sum()) == record.queries.failed < len(task)
    images, further = stored(folder)
    assert torch.equal(images[~failed], whole[~failed])
    assert torch.equal(further[~failed], expected[~failed])
    assert torch.equal(further[failed], task.stored[failed][:, None].expand_as(further[failed]))
    assert record.scores["diversity"]["all"].n == int((~failed).sum())


def test_the_query_stands_in_for_one_that_is_no_image(task: Task, tmp_path: Path) -> None:
    record, folder = evaluate(several(fault="range"), task, root=tmp_path, limit=10)
    assert record.queries.failed == 0, "the counterfactual itself is fine"
    _, further = stored(folder)
    assert further.shape[1] == 9
    assert torch.equal(further[:, 3:], task.stored[:10, None].expand(-1, 6, -1, -1, -1))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("shape", r"also handed in torch.float32 \[10, 1, 12, 12\] on cpu; expected torch.float32 \[10, 'K', 1, 12"),
        ("type", r"also handed in torch.float64 .* expected torch.float32"),
    ],
)
def test_another_form_breaks_the_contract(fault: str, said: str, task: Task, tmp_path: Path) -> None:
    with pytest.raises(ContractViolation, match=said):
        evaluate(several(fault=fault), task, root=tmp_path)


def test_their_number_may_differ_between_batches(task: Task, tmp_path: Path) -> None:
    record, folder = evaluate(several(), task, root=tmp_path, limit=20)
    run = RunFolder(folder)
    first = next(run.shards())
    assert first.further is not None
    run.write(Shard(**{**vars(first), "further": first.further[:, :1]}))
    fewer, _ = rescore(run, task)
    assert fewer.scores["diversity"]["all"].n == 20
    assert fewer.scores["diversity"] != record.scores["diversity"]
    run.write(Shard(**{**vars(first), "further": None}))
    fewest, _ = rescore(run, task)
    assert fewest.scores["diversity"]["all"].n == 10, "one valid counterfactual is not diverse"
    run.write(first)
    assert rescore(run, task)[0].scores == record.scores
    assert fewest.scores["l1"] == record.scores["l1"]
