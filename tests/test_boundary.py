"""Boundary learning: useful counterfactuals teach, random labels do not; what they are compared with has their norm."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cfbench import boundary
from cfbench.boundary import Teaching, agreement
from cfbench.dataset import Images
from cfbench.images import dequantise
from cfbench.networks import PlainCNN
from cfbench.task import Task
from cfbench.training import predict

ROUNDING = 0.5 / 255
"""Greatest change of a pixel by rounding to 8 bits."""


def lengths(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean length of each change, ``[N]``."""
    return (dequantise(a) - dequantise(b)).flatten(1).norm(dim=1)


def teaching(task: Task, made: Tensor) -> Teaching:
    return Teaching(task.stored, task.sources, made, task.targets)


def nearest_unlike(queries: Tensor, targets: Tensor, task: Task) -> Tensor:
    """For each query the nearest image of the pool that the classifier puts in its target class."""
    pool = task.dataset.split("pool").images
    distances = torch.cdist(dequantise(queries).flatten(1), dequantise(pool).flatten(1))
    seen = predict(task.load("classifier"), pool)
    distances[targets[:, None] != seen[None]] = torch.inf
    return pool[distances.argmin(dim=1)]


def gray(task: Task, amount: float) -> Teaching:
    """Queries far from black and white, and as counterfactuals the same, a little brighter: nothing is clipped."""
    queries = task.stored // 4 + 90
    made = queries + torch.tensor(round(amount * 255), dtype=torch.uint8)
    return Teaching(queries, task.sources, made, task.targets)


def test_noise_has_the_norm_of_the_counterfactuals(task: Task) -> None:
    classifier = task.load("classifier")
    data = gray(task, 0.02)
    norms = lengths(data.made, data.queries)
    added = data.sets(classifier)["noise"]
    assert torch.equal(added.images[:60], data.queries)
    assert torch.equal(added.labels[:60], data.sources)
    noisy = added.images[60:]
    assert torch.equal(added.labels[60:], predict(classifier, noisy))
    slack = ROUNDING * 12
    assert ((lengths(noisy, data.queries) - norms).abs() <= slack).all()
    assert lengths(noisy, data.queries).mean() == pytest.approx(float(norms.mean()), rel=0.01)
    assert not torch.equal(data.sets(classifier, seed=1)["noise"].images, added.images)


def test_attacks_stay_within_the_norm_and_go_for_the_target(task: Task) -> None:
    classifier = task.load("classifier")
    data = gray(task, 0.05)
    added = data.sets(classifier)["pgd"]
    attacked = added.images[60:]
    assert torch.equal(added.labels[60:], data.targets)
    assert (lengths(attacked, data.queries) <= lengths(data.made, data.queries) + ROUNDING * 12).all()
    with torch.no_grad():
        before, after = (
            classifier(dequantise(images)).softmax(1).gather(1, data.targets[:, None]).mean()
            for images in (data.queries, attacked)
        )
    assert after > before


def test_clipping_only_shortens(task: Task) -> None:
    data = teaching(task, 255 - task.stored)
    norms = lengths(data.made, data.queries)
    sets = data.sets(task.load("classifier"))
    for name in ("noise", "pgd"):
        assert (lengths(sets[name].images[60:], data.queries) <= norms + ROUNDING * 12).all()


def test_sets_hold_queries_and_counterfactuals(task: Task) -> None:
    made = nearest_unlike(task.stored, task.targets, task)
    sets = teaching(task, made).sets(task.load("classifier"))
    assert set(sets) == {"queries", "noise", "pgd", "counterfactuals"}
    assert torch.equal(sets["queries"].images, task.stored)
    assert torch.equal(sets["queries"].labels, task.sources)
    assert torch.equal(sets["counterfactuals"].images, torch.cat([task.stored, made]))
    assert torch.equal(sets["counterfactuals"].labels, torch.cat([task.sources, task.targets]))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer steps, which the toy's squares need no more of."""
    monkeypatch.setattr(boundary, "STEPS", 60)


@pytest.mark.usefixtures("short")
def test_counterfactuals_teach_more_than_random_labels_and_than_the_queries_of_one_class(task: Task) -> None:
    classifier = task.load("classifier")
    held_out = task.dataset.split("reference").images
    chosen = task.sources == 0
    count = int(chosen.sum())
    targets = torch.arange(count) % 2 + 1
    made = nearest_unlike(task.stored[chosen], targets, task)
    stream = torch.Generator().manual_seed(0)
    shares = {}
    for name, labels in (("useful", targets), ("random", torch.randint(0, 3, (count,), generator=stream))):
        sets = Teaching(task.stored[chosen], task.sources[chosen], made, labels).sets(classifier)
        shares[name] = agreement(classifier, sets["counterfactuals"], held_out, classes=3)
        shares["queries"] = agreement(classifier, sets["queries"], held_out, classes=3)
    assert all(share.shape == (boundary.STUDENTS, len(held_out)) for share in shares.values())
    means = {name: float(share.mean()) for name, share in shares.items()}
    constant = float((predict(classifier, held_out) == 0).double().mean())
    assert means["queries"] == pytest.approx(constant), "who has seen one class knows one"
    assert means["useful"] > means["random"] + 0.1
    assert means["useful"] > means["queries"] + 0.1


@pytest.mark.usefixtures("short")
def test_students_are_the_same_every_time_and_leave_the_random_state(task: Task) -> None:
    classifier = task.load("classifier")
    held_out = task.dataset.split("reference").images[:50]
    data = Images(task.stored, task.sources)
    state = torch.get_rng_state()
    first = agreement(classifier, data, held_out, classes=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(1)
    assert torch.equal(agreement(classifier, data, held_out, classes=3), first)
    assert set(first.unique().tolist()) <= {0.0, 1.0}
    made = nearest_unlike(task.stored, task.targets, task)
    once, again = (teaching(task, made).sets(classifier) for _ in range(2))
    assert all(torch.equal(once[name].images, again[name].images) for name in once)


@pytest.mark.usefixtures("short")
def test_agreement_is_with_the_classifier_not_with_the_truth(task: Task) -> None:
    """A classifier whose classes take turns: students who learn its answers agree, students of the truth do not."""
    network = task.load("classifier")
    assert isinstance(network, PlainCNN)
    before = predict(network, task.dataset.split("reference").images)
    with torch.no_grad():
        network.head.weight.copy_(network.head.weight.roll(1, dims=0))
        network.head.bias.copy_(network.head.bias.roll(1))
    held_out = task.dataset.split("reference").images
    assert torch.equal(predict(network, held_out), (before + 1) % 3)
    own = Images(task.stored, predict(network, task.stored))
    other = Images(task.stored, task.sources)
    own_share, other_share = (float(agreement(network, data, held_out, classes=3).mean()) for data in (own, other))
    assert own_share > 0.5 > other_share
