"""Explaining another frozen network of a task than its classifier: a joint or a robust one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cfbench.dataset import Dataset
from cfbench.errors import InvalidParameter, MissingResource, UnknownName
from cfbench.harness import evaluate
from cfbench.images import dequantise
from cfbench.keys import run_key
from cfbench.needs import Needs
from cfbench.networks import JointClassifier
from cfbench.recording import rescore
from cfbench.registry import METHODS, load_dataset
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.view import MethodView


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset("fashion-mnist")


@pytest.fixture(scope="module")
def joint(dataset: Dataset) -> Task:
    return Task(dataset, classifier="joint")


def test_queries_are_those_on_which_both_classifiers_agree(dataset: Dataset, joint: Task) -> None:
    whole = Task(dataset)
    network = dataset.network("joint")
    with torch.inference_mode():
        answers = network(whole.images(slice(0, len(whole)))).argmax(1)
    agreed = answers == whole.sources
    assert 0 < len(joint) < len(whole)
    assert joint.queries["query_id"].tolist() == whole.queries["query_id"][agreed.numpy()].tolist()
    assert torch.equal(joint.stored, whole.stored[agreed])
    assert torch.equal(joint.targets, whole.targets[agreed])
    assert whole.explains_own
    assert not joint.explains_own


def test_a_method_gets_the_estimator_that_was_trained_with_the_classifier(dataset: Dataset, joint: Task) -> None:
    view = MethodView(joint, Needs(gradients=True, networks=("loss-estimator", "duq")))
    network = dataset.network("joint")
    assert isinstance(network, JointClassifier)
    images = joint.images(slice(0, 5))
    maps, logits = view.classifier.outputs(images)
    with torch.inference_mode():
        assert torch.equal(logits, network(images))
        assert torch.equal(view.network("loss-estimator")(maps), network.estimator(network.blocks(images)))
    with pytest.raises(MissingResource, match=r"duq .* reads the feature maps of classifier, and joint is explained"):
        view.network("duq")


def test_runs_are_judged_by_it_and_scored_again_alike(dataset: Dataset, tmp_path: Path) -> None:
    task = Task(dataset, classifier="robust", split="validation")
    record, folder = evaluate(METHODS.load("pgd")(), task, root=tmp_path, limit=20)
    assert "-robust" in folder.parent.name
    assert record.key.classifier == "robust"
    assert set(record.key.networks) == {"robust"}
    flips = record.scores["flip_rate"]["all"]
    assert flips.network == task.identity("robust")
    made = torch.cat([shard.images for shard in RunFolder(folder).shards()])
    with torch.inference_mode():
        answers = dataset.network("robust")(dequantise(made)).argmax(1)
    assert flips.value == pytest.approx(float((answers == task.targets[:20]).double().mean()))
    assert record.scores["non_adversarial_rate"]["flipped"].value is None, "the distilled copy is of the other network"
    again, before = rescore(RunFolder(folder), task)
    assert again.scores == before


def test_it_is_part_of_what_a_run_is(dataset: Dataset, joint: Task) -> None:
    method = METHODS.load("dip-loss")()
    own, other = run_key(method, Task(dataset), seed=0), run_key(method, joint, seed=0)
    assert set(own.networks) == {"classifier", "loss-estimator"}
    assert set(other.networks) == {"joint"}
    assert own.digest != other.digest


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("oracle-1", InvalidParameter, "of role oracle and cannot be explained; choose from classifier, joint, robust"),
        ("jiont", UnknownName, "no network 'jiont'"),
    ],
)
def test_what_cannot_be_explained_is_refused(dataset: Dataset, name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Task(dataset, classifier=name)
