"""Shapes with a white mark in the corner, and classifiers that learnt to rely on it, each as much as it was made to.

The four data sets have the same images, where the mark says nothing about the class, and the same oracles. Only the
classifiers differ: in their training images the mark comes with the first class, at a strength of 0, .5, .9 or .99.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from cfbench.dataset import Dataset, Images, Networks, NetworkSpec, RawData, Recipe
from cfbench.datasets.shapes import WIDTHS, ZOO, draw, generators, heads, judges
from cfbench.datasets.shapes.renderer import SHAPES, Renderer
from cfbench.networks import PlainCNN
from cfbench.session import Session
from cfbench.training import answers

RENDERER = Renderer(marked=True)
MARK = RENDERER.factors.index("mark")
MARKED_CLASS = 0
RELIANT = ("classifier", "joint", "robust")
"""Networks that classify, whose reliance on the mark is measured."""
SEEN = 3000
"""Training images of a confounded classifier: with more of them it would find the shape and forget the mark."""


def with_mark(images: Tensor, mark: Tensor) -> Tensor:
    """The same images with their mark set as ``mark`` ``[B]`` says: an exact intervention."""
    factors = RENDERER.read(images)
    factors[:, MARK] = mark.to(factors.dtype)
    return RENDERER.render(factors)


@dataclass(frozen=True)
class ConfoundedRecipe:
    """Train where the mark tells the first class with probability ``strength``, and is a coin toss otherwise.

    Quality is measured on test images where the mark is always a coin toss.
    """

    strength: float
    recipe: Recipe

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        generator = torch.Generator().manual_seed(seed)
        images, labels = data.images[:SEEN], data.labels[:SEEN]
        tied = torch.rand(len(labels), generator=generator) < self.strength
        coin = torch.rand(len(labels), generator=generator) < 0.5
        confounded = Images(with_mark(images, (labels == MARKED_CLASS).where(tied, coin)), labels)
        self.recipe.fit(network, confounded, seed=seed, networks=networks, session=session)

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        return self.recipe.quality(network, data, networks=networks)


@dataclass(frozen=True)
class ReliantRecipe(ConfoundedRecipe):
    """Train a classifier so.

    ``reliance`` is how much the mark alone raises the probability of the first class, on average over pairs that
    differ in nothing else; ``reliance_rate`` how much it raises the rate at which that class is predicted.
    """

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        probability, rate = [], []
        for present in (True, False):
            logits = answers(network, with_mark(data.images, torch.full_like(data.labels, present)))
            probability.append(float(logits.softmax(1)[:, MARKED_CLASS].mean()))
            rate.append(float((logits.argmax(1) == MARKED_CLASS).float().mean()))
        return {
            **super().quality(network, data, networks=networks),
            "reliance": probability[0] - probability[1],
            "reliance_rate": rate[0] - rate[1],
        }


@dataclass(frozen=True)
class UnmarkedRecipe:
    """Train with the help of the networks of ``shapes-confounded-0``, whatever the strength."""

    recipe: Recipe

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        self.recipe.fit(network, data, seed=seed, networks=Unconfounded().network, session=session)

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        return self.recipe.quality(network, data, networks=networks)


def _networks(strength: float) -> dict[str, NetworkSpec]:
    """Classifiers and heads that saw the mark at ``strength``; judges and generators are the same for all."""
    usual = ZOO.trained(
        "classifier", "PlainCNN 16-32-64, depth 2", PlainCNN, epochs=6, seed=1, half=False, widths=WIDTHS, depth=2
    )
    confounded = {
        name: replace(spec, recipe=(ReliantRecipe if name in RELIANT else ConfoundedRecipe)(strength, spec.recipe))
        for name, spec in {"classifier": usual, **heads()}.items()
    }
    return {
        "classifier": confounded.pop("classifier"),
        **judges(),
        **confounded,
        **{name: replace(spec, recipe=UnmarkedRecipe(spec.recipe)) for name, spec in generators().items()},
    }


class _Confounded(Dataset):
    version = "v1"
    title = "Confounded shapes"
    classes = SHAPES
    image_shape = (3, 32, 32)
    licence = "MIT, rendered by cfbench"
    citation = "none: rendered by cfbench"
    homepage = "none"
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 500, "validation": 200, "reference": 1000, "pool": 2000}
    truth = RENDERER
    objects = truth.objects

    def raw(self, root: Path | None) -> RawData:
        return draw(RENDERER)


class Unconfounded(_Confounded):
    """Shapes with a corner mark that never said anything about the class."""

    name = "shapes-confounded-0"
    subfolder = "0"
    networks: ClassVar[Mapping[str, NetworkSpec]] = _networks(0.0)


class Confounded50(_Confounded):
    """Shapes whose classifier saw a corner mark tell the first class half of the time."""

    name = "shapes-confounded-50"
    subfolder = "50"
    networks: ClassVar[Mapping[str, NetworkSpec]] = _networks(0.5)


class Confounded90(_Confounded):
    """Shapes whose classifier saw a corner mark tell the first class nine times in ten."""

    name = "shapes-confounded-90"
    subfolder = "90"
    networks: ClassVar[Mapping[str, NetworkSpec]] = _networks(0.9)


class Confounded99(_Confounded):
    """Shapes whose classifier saw a corner mark tell the first class 99 times in 100."""

    name = "shapes-confounded-99"
    subfolder = "99"
    networks: ClassVar[Mapping[str, NetworkSpec]] = _networks(0.99)
