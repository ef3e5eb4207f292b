"""Learnt maps between dark and bright images, whose optimum is known, and the cache that they are kept in."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from cfbench.dataset import Images
from cfbench.errors import InvalidParameter
from cfbench.images import quantise
from cfbench.method import Method
from cfbench.registry import METHODS
from cfbench.task import Task
from cfbench.testing import Toy
from cfbench.view import MethodView

SLOPE = 10.0
BOUNDARY = 0.5


class Threshold(nn.Module):
    """Logits ``(0, SLOPE * (mean - BOUNDARY))`` of an image's mean."""

    def forward(self, images: Tensor) -> Tensor:
        logit = SLOPE * (images.flatten(1).mean(1) - BOUNDARY)
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


class FlatVAE(nn.Module):
    """Images of 2 x 2 pixels that are all half the code."""

    latent = 1

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean = 2 * images.flatten(1).mean(1, keepdim=True)
        return mean, torch.zeros_like(mean)

    def decode(self, latents: Tensor) -> Tensor:
        return (latents / 2)[:, :, None, None].expand(-1, 1, 2, 2)


def flat(*brightness: float) -> Tensor:
    return torch.tensor(brightness)[:, None, None, None].expand(-1, 1, 2, 2).clone()


class FlatTask:
    """What a view reads of a task, with training images of two levels, and no others."""

    num_classes = 2
    classifier = "classifier"
    explains_own = True
    device = torch.device("cpu")

    def __init__(self, dark: float, bright: float) -> None:
        self.dataset = self
        self.pool = Images(quantise(flat(*[dark, bright] * 50)), torch.tensor([0, 1] * 50))

    def names(self, role: str) -> list[str]:
        return [role]

    def load(self, name: str) -> nn.Module:
        return {"classifier": Threshold, "vae": FlatVAE}[name]()

    def split(self, name: str) -> Images:
        return self.pool


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CFBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fitted"


def prepared(task: object, *, seed: int = 0, **parameters: Any) -> Method:
    method = METHODS.load("c3lt").create(parameters)
    method.setup(MethodView(cast(Task, task), method.needs), seed=seed)
    return method


def mapped(method: Method, targets: list[int], *brightness: float) -> list[float]:
    """Brightness of the counterfactuals of flat images."""
    made = method(flat(*brightness), torch.tensor(targets), seeds=[0] * len(targets)).images
    assert (made == made[:, :, :1, :1]).all()
    return [level / 255 for level in made[:, 0, 0, 0].tolist()]


def test_the_learnt_maps_end_where_target_and_proximity_balance() -> None:
    """The slopes cancel where ``SLOPE * (1 - p)`` is the weight, so that both maps end at p = 1 - weight / SLOPE."""
    weight = 3.0
    method = prepared(FlatTask(0.3, 0.7), proximity=weight, cycle=0.0, adversarial=0.0, repeats=1, steps=500, rate=5e-3)
    chance = 1 - weight / SLOPE
    ahead = math.log(chance / (1 - chance)) / SLOPE
    assert mapped(method, [1, 0], 0.3, 0.7) == pytest.approx([BOUNDARY + ahead, BOUNDARY - ahead], abs=0.01)


def test_the_cycle_makes_the_way_back_that_way_back() -> None:
    missed = []
    for cycle in (0.0, 20.0):
        method = prepared(FlatTask(0.3, 0.9), proximity=3.0, cycle=cycle, adversarial=0.0, steps=500, rate=5e-3)
        [there] = mapped(method, [1], 0.3)
        [back] = mapped(method, [0], there)
        missed.append(abs(back - 0.3))
    assert missed[1] < 0.02 < missed[0]


def test_the_critic_draws_what_is_mapped_to_where_images_of_the_class_are() -> None:
    ends = []
    for adversarial in (0.0, 3.0):
        method = prepared(FlatTask(0.3, 0.9), proximity=3.0, cycle=0.0, adversarial=adversarial, steps=500, rate=5e-3)
        ends += mapped(method, [1], 0.3)
    assert abs(ends[1] - 0.9) < abs(ends[0] - 0.9) / 2


def test_what_has_not_the_target_is_mapped_again() -> None:
    """Too near for one step, the maps have learnt to go a bit; repeated, they cross the boundary."""
    settings: dict[str, Any] = {"proximity": 6.0, "cycle": 0.0, "adversarial": 0.0, "steps": 500, "rate": 5e-3}
    task = FlatTask(0.42, 0.58)
    once, often = (prepared(task, repeats=repeats, **settings) for repeats in (1, 50))
    [first], [last] = mapped(once, [1], 0.2), mapped(often, [1], 0.2)
    assert 0.2 < first < BOUNDARY
    outcome = often(flat(0.2), torch.tensor([1]), seeds=[0])
    repeats = int(outcome.columns["repeats"])
    assert repeats > 1
    assert last > BOUNDARY
    assert last - 0.2 == pytest.approx(repeats * (first - 0.2), rel=0.5)


def test_training_is_done_once_for_the_same_key(cache: Path, toy_folder: Path) -> None:
    task = Task(Toy(toy_folder))

    def images(**options: Any) -> tuple[Tensor, int]:
        method = prepared(task, steps=5, **options)
        spent = method.task.counter.forwards
        return method(task.images(slice(8)), task.targets[:8], seeds=list(range(8))).images, spent

    first, trained = images()
    assert trained >= 500
    [file] = cache.iterdir()
    again, spent = images()
    assert spent == 0
    assert torch.equal(again, first)
    images(repeats=1)
    assert [*cache.iterdir()] == [file], "how often a map is repeated is no matter of what was learnt"

    file.write_bytes(file.read_bytes()[:-8])
    anew, spent = images()
    assert spent == trained, "a damaged file is of no use"
    assert torch.equal(anew, first), "the same seed gives the same bits"

    others = [images(**options)[0] for options in ({"seed": 1}, {"cycle": 1.0}, {"rate": 1e-2})]
    assert len([*cache.iterdir()]) == 4
    assert not any(torch.equal(other, first) for other in others)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"proximity": -1.0}, "proximity is -1.0"),
        ({"cycle": -1.0}, "cycle -1.0"),
        ({"adversarial": -1.0}, "adversarial -1.0"),
        ({"repeats": 0}, "repeats and steps >= 1"),
        ({"steps": 0}, "steps 0"),
        ({"rate": 0.0}, "rate above 0"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        METHODS.load("c3lt").create(parameters)
