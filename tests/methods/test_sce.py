"""SCE: a step known in closed form, the smooth copy, the mask, and a plain transcription."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from known_diffusion import SPREAD, GaussianToy
from plain_guided import PlainSCE
from torch import nn

from cfbench.denoising import Chain
from cfbench.errors import InvalidParameter, MissingResource
from cfbench.images import dequantise
from cfbench.method import Outcome
from cfbench.needs import Needs
from cfbench.networks import Diffusion
from cfbench.registry import METHODS
from cfbench.seeds import QueryRandom
from cfbench.smoothing import SHARPNESS, smooth_copy, softened
from cfbench.task import Task
from cfbench.testing import Toy
from cfbench.testing.toy import SIDE
from cfbench.view import MethodView

COUNT = 9
PIXELS = SIDE * SIDE
SETTINGS: dict[str, Any] = {"iterations": 8, "warmup": 3, "rate": 0.2, "confidence": 0.8, "steps": 10, "depth": 2}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for copies."""
    monkeypatch.setenv("CFBENCH_CACHE", str(tmp_path))
    return tmp_path


class Linear(nn.Sequential):
    """The brightness of the thirds of a picture, as a layer with weights."""

    def __init__(self) -> None:
        layer = nn.Linear(PIXELS, 3, bias=False)
        thirds = (torch.arange(PIXELS) % SIDE) // (SIDE // 3)
        layer.weight.data = 20 / (PIXELS // 3) * torch.stack([(thirds == third).float() for third in range(3)])
        super().__init__(nn.Flatten(), layer)


LINEAR = Linear().requires_grad_(False).eval()


class LinearToy(GaussianToy):
    """The known denoiser, and a classifier that is linear."""

    def network(self, name: str) -> nn.Module:
        return LINEAR if name == "classifier" else super().network(name)


def explained(task: Task, **parameters: Any) -> tuple[Outcome, MethodView]:
    method = METHODS.load("sce").create({"epochs": 1, **parameters})
    view = MethodView(task, method.needs)
    method.setup(view)
    view.counter.forwards = 0
    return method(task.images(slice(COUNT)), task.targets[:COUNT], seeds=list(range(COUNT))), view


def test_one_step_goes_down_the_gradient_known_by_hand(toy_folder: Path) -> None:
    """Adam's first step is the rate against the gradient's sign, and the denoiser only shrinks what it is given.

    The copy of a linear classifier stays what it is, but for what weight decay takes.
    """
    task = Task(LinearToy(toy_folder))
    outcome, view = explained(task, iterations=1, warmup=2, rate=0.1, proximity=30.0, steps=4, depth=1, explanations=1)
    queries, targets = task.images(slice(COUNT)), task.targets[:COUNT]
    model = task.load("diffusion")
    assert isinstance(model, Diffusion)
    chain = Chain(model, count=4, depth=1)
    left = chain.signal(1) ** 2
    shrink = chain.signal(1) * SPREAD**2 / (left * SPREAD**2 + 1 - left)
    codes = chain.noised(model.codec.encode(queries), QueryRandom(list(range(COUNT))).normal(*model.shape), 1)
    made = model.codec.decode((shrink * codes).clamp(-1, 1))
    chances = LINEAR(made).softmax(1)
    slope = (chances - torch.eye(3)[targets]) @ LINEAR[1].weight
    slope = slope.view_as(made) + 30.0 * (made - queries).sign() / PIXELS
    expected = (model.codec.decode(shrink * (codes - 0.1 * (model.codec.encode(slope) + 1).sign()))).clamp(0, 1)
    within = (made > 0.01) & (made < 0.99) & (slope.abs() > 1e-3)
    assert within.float().mean() > 0.5
    assert float((dequantise(outcome.images) - expected)[within].abs().max()) <= 0.5 / 255 + 1e-4
    assert outcome.columns["steps"].tolist() == [1] * COUNT
    assert view.counter.generated == 2 * COUNT


def test_a_batch_gives_what_the_plain_transcription_gives(toy_folder: Path) -> None:
    task = Task(Toy(toy_folder))
    outcome, view = explained(task, **SETTINGS, explanations=3)
    assert outcome.further is not None
    method = METHODS.load("sce").create({"epochs": 1, **SETTINGS, "explanations": 3})
    model, copy = task.load("diffusion"), smooth_copy(view, epochs=1)
    for index in range(COUNT):
        random = QueryRandom([index])
        plain = PlainSCE(
            model, task.load("classifier"), method, lambda random=random: random.normal(*model.shape), copy=copy
        )
        first = plain(task.images(slice(index, index + 1)), task.targets[index : index + 1])
        for made, expected in zip(
            [outcome.images[index], *outcome.further[index]], [first, *plain.further], strict=True
        ):
            assert float((made / 255 - expected[0]).abs().mean()) <= 1 / 255


def test_images_are_taken_when_the_classifier_is_sure_of_what_is_stored(toy_folder: Path) -> None:
    task = Task(LinearToy(toy_folder))
    outcome, view = explained(task, **{**SETTINGS, "iterations": 40, "explanations": 1})
    steps = outcome.columns["steps"]
    assert (steps >= 3).all()
    taken = steps < 40
    assert taken.sum() > COUNT // 2
    chances = view.classifier.probabilities(dequantise(outcome.images)).gather(1, task.targets[:COUNT, None])[:, 0]
    assert (chances[taken] >= 0.8).all()
    assert view.counter.generated == 2 * (steps + 1).sum(), "depth passes a step, and finished images leave"
    assert outcome.further is None


def test_explanations_of_a_query_do_not_overlap(toy_folder: Path) -> None:
    task = Task(LinearToy(toy_folder))
    settings = {**SETTINGS, "threshold": 0.6, "dilation": 3}
    outcome, _ = explained(task, **settings, explanations=3)
    assert outcome.further is not None
    made = torch.cat([outcome.images[:, None], outcome.further], dim=1)
    moved = made != task.stored[:COUNT, None]
    assert moved.flatten(2).any(2).all(), "each changes something"
    assert (moved.sum(1) <= 1).all(), "and no pixel is changed by two"
    alone, _ = explained(task, **settings, explanations=1)
    assert torch.equal(alone.images, outcome.images)


def test_what_lies_outside_the_mask_is_the_query(toy_folder: Path) -> None:
    task = Task(Toy(toy_folder))
    settings = {**SETTINGS, "threshold": 0.9, "confidence": 0.999}
    narrow, _ = explained(task, **settings, dilation=1)
    wide, _ = explained(task, **settings, dilation=5)
    for outcome in (narrow, wide):
        moved = (outcome.images != task.stored[:COUNT]).flatten(1).double().mean(1)
        assert (moved <= outcome.columns["inside"] + 1e-6).all()
    assert (narrow.columns["inside"] < wide.columns["inside"]).all()
    assert (wide.columns["inside"] < 0.6).all()


def view_of(task: Task) -> MethodView:
    return MethodView(task, Needs(gradients=True, training_data=True))


def test_the_copy_is_smooth_and_agrees_with_the_classifier(toy_folder: Path, cache: Path) -> None:
    task = Task(Toy(toy_folder))
    view = view_of(task)
    copy = smooth_copy(view, epochs=100)
    assert not any(isinstance(module, nn.ReLU) for module in copy.modules())
    assert any(isinstance(module, nn.Softplus) for module in copy.modules())
    assert any(isinstance(module, nn.ReLU) for module in view.guarded.modules()), "what is explained stays as it is"
    images = dequantise(task.dataset.split("reference").images)
    answers = [each(images).softmax(1) for each in (view.guarded, softened(view.guarded).eval(), copy)]
    before, after = ((answers[0] - each).abs().mean() for each in answers[1:])
    assert after < before / 2
    assert (answers[0].argmax(1) == answers[2].argmax(1)).float().mean() > 0.95
    assert len(list(cache.rglob("*.safetensors"))) == 1


def test_softplus_takes_the_place_of_relu_wherever_it_is() -> None:
    inputs = torch.linspace(-3, 3, 25)
    copy = softened(nn.Sequential(nn.ReLU(), nn.Sequential(nn.Flatten(0), nn.ReLU())))
    once = torch.log1p(torch.exp(SHARPNESS * inputs)) / SHARPNESS
    assert torch.allclose(copy(inputs), torch.log1p(torch.exp(SHARPNESS * once)) / SHARPNESS, atol=1e-6)


def test_a_clipped_relu_is_smooth_at_both_ends() -> None:
    inputs = torch.linspace(-10, 16, 53)
    clipped = softened(nn.Sequential(nn.ReLU6()))(inputs)
    assert (clipped - F.relu6(inputs)).abs().max() <= math.log(2) / SHARPNESS + 1e-6
    assert torch.allclose(clipped + clipped.flip(0), torch.full_like(inputs, 6.0), atol=1e-5), "odd about its middle"
    assert (clipped.diff() >= 0).all()


def test_the_copy_is_learnt_once(toy_folder: Path) -> None:
    task = Task(Toy(toy_folder))
    first, again = view_of(task), view_of(task)
    weights = [smooth_copy(view, epochs=2).state_dict() for view in (first, again)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert (first.counter.forwards, again.counter.forwards) == (2 * 120, 0)


def test_torchscript_is_refused() -> None:
    with pytest.raises(MissingResource, match=r"give it as file\.py:factory"):
        softened(torch.jit.trace(LINEAR, torch.zeros(1, 1, SIDE, SIDE)))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"proximity": -1.0}, "proximity is -1.0"),
        ({"rate": 0.0}, "rate 0.0"),
        ({"iterations": 0}, "iterations 0"),
        ({"warmup": -1}, "warmup -1"),
        ({"confidence": 1.0}, "confidence 1.0"),
        ({"epochs": 0}, "epochs 0; expected"),
        ({"explanations": 0}, "explanations is 0"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"dilation": 2}, "dilation 2; expected .* odd"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        METHODS.load("sce").create(parameters)
