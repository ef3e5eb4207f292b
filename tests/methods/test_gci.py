"""Generative introspection with a generator that adds up a picture an attribute: what it reports is what it made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from own_pictures import Thirds
from torch import Tensor, nn

from cfbench.errors import InvalidParameter, MissingResource
from cfbench.harness import evaluate
from cfbench.images import dequantise
from cfbench.manifest import NetworkEntry
from cfbench.method import Outcome
from cfbench.record import TABLE
from cfbench.registry import METHODS
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.testing import Toy
from cfbench.testing.toy import SIDE, render
from cfbench.view import MethodView

DATA = render(600, 1)
PICTURES = dequantise(DATA.images[:3])
"""An image of each class."""


class Sum(nn.Module):
    """``sum_k A_k picture_k + z / 50`` within [0, 1]; an attribute beyond the classes adds nothing."""

    def forward(self, latents: Tensor, attributes: Tensor) -> Tensor:
        made = torch.einsum("bk,kchw->bchw", attributes[:, :3], PICTURES) + latents[:, :, None, None] / 50
        return made.clamp(0, 1)


class Additive(nn.Module):
    """A generator of ``classes`` attributes, inverted from z = 0."""

    counted = ("generator",)

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.generator = Sum()

    def encode(self, images: Tensor, attributes: Tensor) -> Tensor:
        return torch.zeros(len(images), 1)


class Brightest(nn.Module):
    """Attributes of an image: which third is brightest, and one that is always there; logits of 5 and -5."""

    def forward(self, images: Tensor) -> Tensor:
        thirds = images.mean((1, 2)).unflatten(1, (3, SIDE // 3)).mean(2).argmax(1)
        return 10 * F.pad(F.one_hot(thirds, 3), (0, 1), value=1).float() - 5


class AdditiveToy(Toy):
    """The toy task with that generator, of classes or of four attributes; the brightest third is the class."""

    attributes_read = False

    def names(self, role: str) -> list[str]:
        return ["attributes"] if role == "attributes" and self.attributes_read else super().names(role)

    def entry(self, name: str) -> NetworkEntry:
        return super().entry("gan" if name == "attributes" else name)

    def network(self, name: str) -> nn.Module:
        if name == "gan":
            return Additive(4 if self.attributes_read else 3).eval()
        return {"classifier": Thirds(), "attributes": Brightest()}.get(name) or super().network(name)


class AttributesToy(AdditiveToy):
    attributes_read = True
    attributes = ("on the left", "in the middle", "on the right", "square")


def start_of(task: Task) -> Tensor:
    """A of the queries: what :class:`Brightest` reads in them, or their class."""
    if not task.dataset.attributes:
        return F.one_hot(task.sources, 3).float()
    with torch.no_grad():
        return Brightest()(dequantise(task.stored)).sigmoid()


@pytest.mark.parametrize("dataset", [AdditiveToy, AttributesToy])
@pytest.mark.parametrize("relaxed", [False, True])
def test_the_attributes_that_moved_make_the_counterfactual(
    dataset: type[AdditiveToy], relaxed: bool, toy_folder: Path, tmp_path: Path
) -> None:
    task = Task(dataset(toy_folder))
    method = METHODS.load("gci")(
        relaxed=relaxed, inversion=30, steps=40, rounds=6, rate=0.1, strength=0.1, confidence=0.5
    )
    _, run = evaluate(method, task, root=tmp_path)
    table = pd.read_parquet(run / TABLE)
    columns = [f"method_moved_{name}" for name in dataset.attributes or dataset.classes]
    assert [name for name in table if "moved" in name] == columns
    moved = torch.tensor(table[columns].to_numpy()).float()
    made = torch.cat([shard.images for shard in RunFolder(run).shards()])
    start = start_of(task)
    attributes = start + moved
    assert attributes.min() >= -1e-6
    assert attributes.max() <= 1 + 1e-6
    rows = torch.arange(len(moved))
    flipped = torch.from_numpy(table["flipped"].to_numpy(copy=True))
    assert flipped.double().mean() > 0.9
    with torch.no_grad():
        flipped &= Thirds()(dequantise(task.stored)).argmax(1) == task.sources
    assert (moved[rows, task.targets][flipped] > 0.1).all(), "the target's attribute rises"
    assert (moved[rows, task.sources][flipped] < 0).all(), "the source's falls"
    pictures = torch.einsum("bk,kchw->bchw", attributes[:, :3], PICTURES)
    rest = dequantise(made) - pictures
    assert rest.flatten(1).std(1)[flipped].median() < 0.02, "z is one number: the rest is flat, but for clipping"
    distance = (made.double() - task.stored.double()).abs().flatten(1).mean(1).numpy() / 255
    assert table["method_distance_query"].to_numpy() == pytest.approx(distance, abs=0.003)
    gap = np.abs(table["method_distance_query"] - table["method_distance_reconstruction"])
    assert (gap <= table["method_inversion_error"] + 1e-6).all(), "the triangle inequality"


def explained(task: Task, **parameters: Any) -> Outcome:
    """The first 20 queries of a task, explained with the additive generator of attributes."""
    method = METHODS.load("gci").create({"inversion": 0, "steps": 40, "rate": 0.1, **parameters})
    method.setup(MethodView(task, method.needs))
    return method(task.images(slice(20)), task.targets[:20], seeds=list(range(20)))


def test_strict_columns_tell_the_whole_counterfactual(toy_folder: Path) -> None:
    """z stays 0, so the picture that the moved attributes add up to is the one that was made, to the rounding."""
    task = Task(AttributesToy(toy_folder))
    outcome = explained(task)
    moved = torch.stack([outcome.columns[f"moved_{name}"] for name in AttributesToy.attributes], dim=1).float()
    start = start_of(task)[:20]
    zero = torch.zeros(20, 1)
    made, reconstructed = Sum()(zero, start + moved), Sum()(zero, start)
    assert float((dequantise(outcome.images) - made).abs().max()) <= 0.5 / 255 + 1e-6
    assert (moved[:, 3].abs() < 1e-6).all(), "what changes nothing in the picture stays"
    queries = task.images(slice(20))
    for name, pair in {
        "distance_query": (made, queries),
        "distance_reconstruction": (made, reconstructed),
        "inversion_error": (reconstructed, queries),
    }.items():
        distance = (pair[0] - pair[1]).abs().flatten(1).mean(1)
        assert outcome.columns[name].tolist() == pytest.approx(distance.tolist(), abs=1e-6)


def test_the_search_stops_just_beyond_the_confidence(toy_folder: Path) -> None:
    task = Task(AttributesToy(toy_folder))
    distances = []
    for confidence in (0.5, 0.9):
        outcome = explained(task, confidence=confidence, rounds=14, strength=0.001)
        chances = Thirds()(dequantise(outcome.images)).softmax(1).gather(1, task.targets[:20, None])
        assert (chances >= confidence).all()
        assert float(chances.median()) < confidence + 0.09
        distances.append(outcome.columns["distance_reconstruction"])
    assert (distances[0] < distances[1]).all()


def test_queries_whose_strength_is_known_cost_no_more_calls(toy_folder: Path) -> None:
    task = Task(AttributesToy(toy_folder))
    method = METHODS.load("gci")(inversion=0, steps=40, rate=0.1, rounds=40, confidence=0.5)
    view = MethodView(task, method.needs)
    method.setup(view)
    method(task.images(slice(20)), task.targets[:20], seeds=list(range(20)))
    assert view.counter.backwards < 20 * 40 * 20, "a few rounds to find it, three or four to know it to a fifth"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"confidence": 0.0}, "confidence is 0.0"),
        ({"confidence": 1.0}, "0 < confidence < 1"),
        ({"inversion": -1}, "inversion -1"),
        ({"steps": 0}, "steps 0"),
        ({"rounds": 0}, "steps and rounds >= 1"),
        ({"strength": 0.0}, "others above 0"),
        ({"rate": -0.1}, "rate -0.1"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        METHODS.load("gci")(**parameters)


class Unread(Toy):
    """A generator of attributes whose reader is not built yet."""

    networks = {**Toy.networks, "attributes": replace(Toy.networks["classifier"], role="attributes")}


class Ungenerated(Toy):
    networks = {name: spec for name, spec in Toy.networks.items() if name != "gan"}


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (Unread, r"network 'attributes' of toy@v1 is not built; run: cfbench prepare toy --train --only attributes"),
        (Ungenerated, r"toy@v1 defines 0 networks of role 'gan', expected one; choose another task"),
    ],
)
def test_a_task_without_the_networks_says_how_to_get_on(dataset: type[Toy], said: str, toy_folder: Path) -> None:
    method = METHODS.load("gci")()
    with pytest.raises(MissingResource, match=said):
        method.setup(MethodView(Task(dataset(toy_folder)), method.needs))
