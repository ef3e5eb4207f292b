"""Recipes of attribute networks, and of the oracle that is one of their outputs."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn

from cfbench.attribute_training import AttributeRecipe, OneAttributeRecipe
from cfbench.dataset import Images
from cfbench.errors import InvalidParameter
from cfbench.images import dequantise
from cfbench.networks import OneAttribute, PlainCNN
from cfbench.session import Session
from cfbench.testing import Toy
from cfbench.training import answers

SIZES = {"channels": 1, "widths": (4, 4), "depth": 1, "mean": (0.3,), "std": (0.3,)}


def squares(count: int, seed: int) -> Images:
    """Attributes: bright, top half, always there. Labels: whether in the top half."""
    stream = torch.Generator().manual_seed(seed)
    has = torch.randint(0, 2, (count, 3), generator=stream)
    has[:, 2] = 1
    images = torch.full((count, 1, 12, 12), 20, dtype=torch.uint8)
    for image, (bright, top, _) in zip(images, has.tolist(), strict=True):
        rows = slice(0, 6) if top else slice(6, 12)
        image[0, rows, 3:9] = 250 if bright else 120
    return Images(images, has[:, 1], attributes=has)


class Table(nn.Module):
    """Logits by the first pixel of an image."""

    def __init__(self, rows: list[list[float]]) -> None:
        super().__init__()
        self.rows = torch.tensor(rows)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.rows[(images[:, 0, 0, 0] * 255).round().long()]


def test_quality_is_averaged_over_the_attributes_that_vary() -> None:
    """Right: 3 of 4 on the first (with it 1 of 2, without 2 of 2), 3 of 4 on the second (3 of 3, 0 of 1)."""
    wanted = torch.tensor([[1, 1, 1], [1, 1, 1], [0, 1, 1], [0, 0, 1]])
    network = Table([[3, 1, -1], [-1, 1, -1], [-1, 1, -1], [-1, 1, -1]])
    images = torch.arange(4, dtype=torch.uint8).reshape(4, 1, 1, 1)
    data = Images(images, torch.zeros(4, dtype=torch.int64), attributes=wanted)
    quality = AttributeRecipe(epochs=1).quality(network, data, networks=Toy().network)
    assert quality == {"accuracy": pytest.approx(0.75), "balanced_accuracy": pytest.approx((0.75 + 0.5) / 2)}


def test_of_degrees_error_and_correlation_are_measured() -> None:
    """Degrees 0, 0.5, 1 read as 0.5, 0.5, 0.75: the errors are 0.5, 0, 0.25, the correlation is sqrt(3) / 2."""
    wanted = torch.tensor([[0, 0.0], [1, 0.5], [1, 1.0]])
    network = Table([[-1, 0.0], [1, 0.0], [1, math.log(3)]])
    images = torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1)
    data = Images(images, torch.zeros(3, dtype=torch.int64), attributes=wanted)
    quality = AttributeRecipe(epochs=1).quality(network, data, networks=Toy().network)
    assert quality == {
        "accuracy": 1.0,
        "balanced_accuracy": 1.0,
        "mae": pytest.approx(0.25),
        "correlation": pytest.approx(math.sqrt(3) / 2),
    }


def test_degrees_are_learnt() -> None:
    """How bright flat images are."""
    stream = torch.Generator().manual_seed(0)
    degrees = torch.rand(640, 1, generator=stream)
    images = (degrees * 255).to(torch.uint8)[:, :, None, None].expand(-1, 1, 12, 12)
    data = Images(images, torch.zeros(640, dtype=torch.int64), attributes=degrees)
    torch.manual_seed(0)
    network = PlainCNN(classes=1, **SIZES)
    recipe = AttributeRecipe(epochs=20, batch=32, rate=1e-2)
    recipe.fit(network, data, seed=1, networks=Toy().network, session=Session())
    assert (answers(network, images).sigmoid() - degrees).abs().mean() < 0.1


def test_every_attribute_is_learnt_and_one_of_them_makes_an_oracle() -> None:
    train, test = squares(400, 1), squares(200, 2)
    torch.manual_seed(0)
    network = PlainCNN(classes=3, **SIZES)
    recipe = AttributeRecipe(epochs=6, batch=20, rate=1e-2)
    recipe.fit(network, train, seed=0, networks=Toy().network, session=Session())
    assert recipe.quality(network, test, networks=Toy().network)["accuracy"] > 0.95

    oracle = OneAttribute.of(partial(PlainCNN, classes=3, **SIZES), 1)
    taken = OneAttributeRecipe("attribute-oracle-1")
    taken.fit(oracle, train, seed=0, networks=lambda name: network, session=Session())
    with torch.inference_mode():
        expected, found = (each(dequantise(test.images)) for each in (network, oracle))
    torch.testing.assert_close(found[:, 1] - found[:, 0], expected[:, 1], atol=1e-5, rtol=1e-5)
    assert taken.quality(oracle, test, networks=Toy().network)["accuracy"] > 0.95


def test_images_without_attributes_are_refused() -> None:
    data = Images(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))
    build = partial(PlainCNN, classes=3, **SIZES)
    with pytest.raises(InvalidParameter, match="no attributes"):
        AttributeRecipe(epochs=1).fit(build(), data, seed=0, networks=Toy().network, session=Session())
