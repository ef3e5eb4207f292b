"""Recipes: distilling from a frozen classifier, and what the loss is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cfbench.dataset import Images
from cfbench.errors import MissingResource
from cfbench.images import dequantise
from cfbench.preparation import train_network
from cfbench.session import Session
from cfbench.testing import Toy
from cfbench.training import ClassifierRecipe, DistilRecipe, dihedral, predict


def test_the_copy_agrees_with_the_classifier_more_than_chance_allows(toy: Toy) -> None:
    quality = toy.entry("distilled").quality
    data = toy.raw(None).test
    copied, original = (predict(toy.network(name), data.images) for name in ("distilled", "classifier"))
    assert quality["agreement"] == pytest.approx(float((copied == original).float().mean()), abs=1e-6)
    assert quality["accuracy"] == pytest.approx(float((copied == data.labels).float().mean()), abs=1e-6)
    assert quality["agreement"] > 0.9


class Answers(nn.Module):
    """The same logits for every image."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(images), -1)


def test_distilling_finds_the_teachers_probabilities_not_the_labels() -> None:
    teacher, copy = Answers([2.0, 0.0, -1.0]).requires_grad_(False), Answers([0.0, 0.0, 0.0])
    data = Images(torch.zeros(400, 1, 2, 2, dtype=torch.uint8), torch.full((400,), 2))
    recipe = DistilRecipe(epochs=10, batch=20, rate=0.1, decay=0.0)
    recipe.fit(copy, data, seed=0, networks=lambda name: teacher, session=Session())
    given, wanted = (F.softmax(network(dequantise(data.images[:1])), dim=1) for network in (copy, teacher))
    torch.testing.assert_close(given, wanted, atol=1e-3, rtol=0)


def test_a_teacher_that_is_not_built_is_named(tmp_path: Path) -> None:
    empty = Toy(tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "manifest.json").write_text('{"version": "v1"}')
    with pytest.raises(MissingResource, match="run: cfbench prepare toy --train --only classifier"):
        train_network(empty, "distilled", empty.raw(None), tmp_path / "out")


def test_the_teacher_is_the_one_built_in_the_same_folder(toy: Toy, tmp_path: Path) -> None:
    asked: list[float] = []

    class Asking(DistilRecipe):
        def fit(self, network: nn.Module, data: Images, **options: object) -> None:
            networks = options["networks"]
            asked.append(next(networks("classifier").parameters()).sum().item())  # type: ignore[operator]

    class Other(Toy):
        networks = Toy.networks | {
            "classifier": replace(Toy.networks["classifier"], seed=99),
            "distilled": replace(Toy.networks["distilled"], recipe=Asking(epochs=1)),
        }

    raw = toy.raw(None)
    train_network(Other(toy.folder), "classifier", raw, tmp_path)
    train_network(Other(toy.folder), "distilled", raw, tmp_path)
    packaged, own = (next(dataset.network("classifier").parameters()).sum().item() for dataset in (toy, Toy(tmp_path)))
    assert asked == [own]
    assert asked != [packaged]


def test_turning_gives_each_of_the_eight_ways_equally_often() -> None:
    square = torch.arange(9.0).reshape(1, 1, 3, 3)
    ways = {
        tuple(torch.rot90(side, turns, (2, 3)).flatten().tolist())
        for turns in range(4)
        for side in (square, square.flip(3))
    }
    turned = dihedral(square.expand(4000, 1, 3, 3), torch.Generator().manual_seed(0))
    found, counts = turned.flatten(1).unique(dim=0, return_counts=True)
    assert {tuple(row.tolist()) for row in found} == ways
    assert len(ways) == 8
    assert ((counts - 500).abs() < 100).all()


def test_weighting_lifts_the_rare_class() -> None:
    labels = torch.arange(1000) % 10 == 0
    data = Images(torch.zeros(1000, 1, 2, 2, dtype=torch.uint8), labels.long())

    def share(weighted: bool) -> float:
        network = Answers([0.0, 0.0])
        recipe = ClassifierRecipe(epochs=20, batch=100, rate=0.1, decay=0.0, weighted=weighted)
        recipe.fit(network, data, seed=0, networks=Toy().network, session=Session())
        return float(network.logits.detach().softmax(0)[1])

    assert share(False) == pytest.approx(0.1, abs=0.01)
    assert share(True) == pytest.approx(0.1**0.5 / (0.1**0.5 + 0.9**0.5), abs=0.01), "weights go with 1 / sqrt(n)"


def test_quality_reports_the_areas_that_were_asked_for(toy: Toy) -> None:
    recipe = ClassifierRecipe(epochs=1, auc={"left": 0})
    quality = recipe.quality(toy.network("classifier"), toy.raw(None).test, networks=toy.network)
    assert set(quality) == {"accuracy", "auc_left"}
    assert 0.9 < quality["auc_left"] <= 1
