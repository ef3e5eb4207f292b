"""Generative introspection with a generator that adds up a picture an attribute: what it reports is what it made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from own_pictures import Thirds
from torch import Tensor, nn

from cfbench.harness import evaluate
from cfbench.images import dequantise
from cfbench.manifest import NetworkEntry
from cfbench.record import TABLE
from cfbench.registry import METHODS
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.testing import Toy
from cfbench.testing.toy import SIDE, render

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


@pytest.mark.parametrize("dataset", [AdditiveToy, AttributesToy])
@pytest.mark.parametrize("relaxed", [False, True])
def test_the_attributes_that_moved_make_the_counterfactual(
    dataset: type[AdditiveToy], relaxed: bool, toy_folder: Path, tmp_path: Path
) -> None:
    task = Task(dataset(toy_folder))
    method = METHODS.load("gci")(relaxed=relaxed, inversion=30, steps=40, rounds=6, rate=0.1, strength=0.1)
    _, run = evaluate(method, task, root=tmp_path)
    table = pd.read_parquet(run / TABLE)
    count = 4 if dataset.attributes_read else 3
    moved = torch.tensor(table[[f"method_attribute_{index}" for index in range(count)]].to_numpy()).float()
    made = torch.cat([shard.images for shard in RunFolder(run).shards()])
    with torch.no_grad():
        start = Brightest()(dequantise(task.stored)).sigmoid() if count == 4 else F.one_hot(task.sources, 3).float()
    attributes = start + moved
    assert attributes.min() >= -1e-6
    assert attributes.max() <= 1 + 1e-6
    rows = torch.arange(len(moved))
    flipped = torch.from_numpy(table["flipped"].to_numpy())
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
