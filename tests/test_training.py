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
from cfbench.testing import Toy
from cfbench.training import DistilRecipe, predict


def silent(share: float, text: str) -> None: ...


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
    recipe = DistilRecipe(epochs=10, shift=0, flip=False, batch=20, rate=0.1, decay=0.0)
    recipe.fit(copy, data, seed=0, networks=lambda name: teacher, progress=silent)
    given, wanted = (F.softmax(network(dequantise(data.images[:1])), dim=1) for network in (copy, teacher))
    torch.testing.assert_close(given, wanted, atol=1e-3, rtol=0)


def test_a_teacher_that_is_not_built_is_named(tmp_path: Path) -> None:
    empty = Toy(tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "manifest.json").write_text('{"version": "v1"}')
    with pytest.raises(MissingResource, match="run: cfbench prepare toy --train --only classifier"):
        train_network(empty, "distilled", empty.raw(None), tmp_path / "out", silent)


def test_the_teacher_is_the_one_built_in_the_same_folder(toy: Toy, tmp_path: Path) -> None:
    asked: list[float] = []

    class Asking(DistilRecipe):
        def fit(self, network: nn.Module, data: Images, **options: object) -> None:
            networks = options["networks"]
            asked.append(next(networks("classifier").parameters()).sum().item())  # type: ignore[operator]

    class Other(Toy):
        networks = Toy.networks | {
            "classifier": replace(Toy.networks["classifier"], seed=99),
            "distilled": replace(Toy.networks["distilled"], recipe=Asking(epochs=1, shift=0, flip=False)),
        }

    raw = toy.raw(None)
    train_network(Other(toy.folder), "classifier", raw, tmp_path, silent)
    train_network(Other(toy.folder), "distilled", raw, tmp_path, silent)
    packaged, own = (next(dataset.network("classifier").parameters()).sum().item() for dataset in (toy, Toy(tmp_path)))
    assert asked == [own]
    assert asked != [packaged]
