"""LeapFactual with codes that are brightnesses, a classifier that is linear in them, and velocities known by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from own_pictures import Thirds
from torch import Tensor, nn

from cfbench.errors import InvalidParameter, MissingResource
from cfbench.flow_matching import Field
from cfbench.harness import evaluate
from cfbench.method import Outcome
from cfbench.registry import METHODS
from cfbench.task import Task
from cfbench.testing import Toy
from cfbench.testing.toy import SIDE
from cfbench.view import MethodView

LEAP = METHODS.load("leapfactual")
COUNT = 12
ROUNDING = 0.51 / 255
MEANS = torch.tensor([[0.6, 0.3, 0.2], [0.2, 0.6, 0.3], [0.3, 0.2, 0.6]])
SCALES = torch.tensor([[0.10], [0.15], [0.20]])
"""Of Gaussian codes of each class, ``N(mean, scale^2 I)``."""


class Brightness(nn.Module):
    """A code is the brightness of the three thirds."""

    latent = 3
    counted = ("decoder",)

    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.Identity()

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        codes = images.mean(dim=(1, 2)).unflatten(1, (3, SIDE // 3)).mean(2)
        return codes, torch.full_like(codes, -6.0)

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(codes).repeat_interleave(SIDE // 3, dim=1)[:, None, None].expand(-1, 1, SIDE, -1)


class BrightToy(Toy):
    """The toy task with these codes and a classifier that is linear in them."""

    made: ClassVar[dict[str, type[nn.Module]]] = {"vae": Brightness, "classifier": Thirds}

    def network(self, name: str) -> nn.Module:
        return self.made[name]().eval() if name in self.made else super().network(name)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CFBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fitted"


def gaussian(times: Tensor, codes: Tensor, conditions: Tensor) -> Tensor:
    """The velocity that carries noise to the Gaussian of a class."""
    means, scales = conditions @ MEANS, conditions @ SCALES
    spread = (times * scales).square() + (1 - times).square()
    return means + (times * scales.square() - (1 - times)) / spread * (codes - times * means)


def constant(times: Tensor, codes: Tensor, conditions: Tensor) -> Tensor:
    return conditions @ MEANS


def to_the_left(times: Tensor, codes: Tensor, conditions: Tensor) -> Tensor:
    """The difference of two classes leads from one to the other, each alone to the class of the left third."""
    return conditions @ (torch.eye(3) + torch.tensor([10.0, 0.0, 0.0]))


Leap = Callable[..., tuple[Outcome, MethodView]]


@pytest.fixture
def leap(toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Leap:
    """Explains the first queries with a velocity in place of the fitted one."""

    def explained(field: Field, **parameters: Any) -> tuple[Outcome, MethodView]:
        monkeypatch.setattr(sys.modules[LEAP.__module__], "fitted", lambda *fit: field)
        task = Task(BrightToy(toy_folder))
        method = LEAP.create(parameters)
        view = MethodView(task, method.needs)
        method.setup(view)
        return method(task.images(slice(COUNT)), task.targets[:COUNT], seeds=list(range(COUNT))), view

    return explained


def begin(toy_folder: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Codes of the queries, the classifier's probabilities of what they make, and the targets as weights."""
    task, vae = Task(BrightToy(toy_folder)), Brightness()
    codes, _ = vae.encode(task.images(slice(COUNT)))
    stored = vae.decode(codes).mul(255).round() / 255
    return codes, Thirds()(stored).softmax(1), torch.eye(3)[task.targets[:COUNT]]


def codes_of(outcome: Outcome) -> Tensor:
    return Brightness().encode(outcome.images / 255)[0]


def chances_of(outcome: Outcome, toy_folder: Path) -> Tensor:
    targets = Task(BrightToy(toy_folder)).targets[:COUNT, None]
    return Thirds()(outcome.images / 255).softmax(1).gather(1, targets)[:, 0]


def test_a_whole_leap_carries_the_gaussian_of_the_source_to_that_of_the_target(leap: Leap, toy_folder: Path) -> None:
    outcome, _ = leap(gaussian, leaps=1, strength=1.0, confidence=1.0, steps=200)
    codes, sources, targets = begin(toy_folder)
    expected = targets @ MEANS + targets @ SCALES / (sources @ SCALES) * (codes - sources @ MEANS)
    assert float((codes_of(outcome) - expected.clamp(0, 1)).abs().max()) <= ROUNDING + 1e-3
    assert outcome.columns["leaps"].tolist() == [1] * COUNT


def test_a_blending_leap_adds_the_difference_of_the_classes(leap: Leap, toy_folder: Path) -> None:
    outcome, _ = leap(constant, leaps=1, strength=0.3, confidence=1.0)
    codes, sources, targets = begin(toy_folder)
    expected = codes + 0.3 * (targets - sources) @ MEANS
    assert float((codes_of(outcome) - expected.clamp(0, 1)).abs().max()) <= ROUNDING + 1e-5


def test_an_injection_leap_lifts_by_less_than_it_lands(leap: Leap, toy_folder: Path) -> None:
    settings = {"leaps": 40, "strength": 0.2, "confidence": 0.6}
    blended, _ = leap(constant, **settings)
    injected, _ = leap(constant, **settings, injections=2, lift_strength=0.0, land_strength=0.05)
    _, _, targets = begin(toy_folder)
    assert (chances_of(blended, toy_folder) > 0.5).all()
    expected = codes_of(blended) + 2 * 0.05 * targets @ MEANS
    assert float((codes_of(injected) - expected).abs().max()) <= 2 * ROUNDING
    assert injected.columns["leaps"].tolist() == [leaps + 2 for leaps in blended.columns["leaps"].tolist()]


def test_an_image_whose_injection_loses_the_target_keeps_what_it_was(leap: Leap, toy_folder: Path) -> None:
    settings = {"leaps": 40, "strength": 0.2, "confidence": 0.6}
    blended, _ = leap(to_the_left, **settings)
    injected, _ = leap(to_the_left, **settings, injections=3, lift_strength=0.0, land_strength=0.1)
    _, _, targets = begin(toy_folder)
    same = (injected.images == blended.images).flatten(1).all(1)
    assert torch.equal(same, targets[:, 0] == 0)
    assert (chances_of(injected, toy_folder) >= 0.6).all()


def test_images_leave_the_blending_when_the_target_is_sure(leap: Leap, toy_folder: Path) -> None:
    outcome, view = leap(constant, leaps=200, strength=0.01, confidence=0.8)
    chances = chances_of(outcome, toy_folder)
    assert (chances >= 0.8).all()
    assert (chances < 0.85).all(), "and no later"
    leaps = outcome.columns["leaps"]
    assert len(leaps.unique()) > 1
    assert (leaps < 200).all()
    pool = view.training_data()
    assert view.counter.forwards == len(pool) + leaps.sum() + COUNT
    assert view.counter.generated == leaps.sum() + COUNT
    assert view.counter.backwards == 0


def test_the_flow_is_fitted_once_for_a_classifier(toy_folder: Path, cache: Path, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        record, _ = evaluate(LEAP.create(LEAP.quick), Task(Toy(toy_folder)), root=tmp_path / folder, limit=6)
        assert (record.queries.done, record.queries.failed) == (6, 0)
        assert len(list(cache.iterdir())) == 1
    method = LEAP.create(LEAP.quick)
    method.setup(MethodView(Task(BrightToy(toy_folder)), method.needs))
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"strength": 0.0}, "strength is 0.0"),
        ({"strength": 1.5}, "at most 1"),
        ({"confidence": 1.1}, "confidence 1.1"),
        ({"leaps": 0}, "leaps 0"),
        ({"injections": -1}, "injections -1"),
        ({"lift_strength": 0.2, "land_strength": 0.1}, "0 <= lift_strength < land_strength"),
        ({"steps": 0}, "steps 0"),
        ({"width": 0}, "width 0"),
        ({"fit_steps": 0}, "fit_steps 0"),
        ({"steps": "few"}, "parameter steps of method"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        LEAP.create(parameters)


class Ungenerated(Toy):
    networks = {name: spec for name, spec in Toy.networks.items() if name != "vae"}


def test_a_task_without_a_vae_says_so(toy_folder: Path) -> None:
    method = LEAP()
    with pytest.raises(MissingResource, match="defines 0 networks of role 'vae', expected one; choose another task"):
        method.setup(MethodView(Task(Ungenerated(toy_folder)), method.needs))
