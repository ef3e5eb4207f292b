"""DiME, FastDiME and ACE against steps computed by hand and against plain transcriptions of their papers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from known_diffusion import SPREAD, GaussianToy
from own_pictures import Thirds
from plain_diffusion import PlainACE, PlainDiME
from torch import Tensor, nn

from cfbench.denoising import Chain
from cfbench.errors import InvalidParameter, MissingResource
from cfbench.method import Outcome
from cfbench.registry import METHODS
from cfbench.seeds import QueryRandom
from cfbench.task import Task
from cfbench.testing import Toy
from cfbench.view import MethodView

COUNT = 9
"""Queries."""


class LinearToy(GaussianToy):
    """The known denoiser, and a classifier that is linear."""

    def network(self, name: str) -> nn.Module:
        return Thirds().eval() if name == "classifier" else super().network(name)


def explained(task: Task, name: str, **parameters: Any) -> tuple[Outcome, MethodView]:
    method = METHODS.load(name).create(parameters)
    view = MethodView(task, method.needs)
    method.setup(view)
    return method(task.images(slice(COUNT)), task.targets[:COUNT], seeds=list(range(COUNT))), view


def blocks(images: Tensor) -> Tensor:
    """Images ``[B, 1, 12, 12]`` as values in [-1, 1] of blocks of 2 x 2 pixels, ``[B, 4, 6, 6]``, by hand."""
    return (2 * images - 1).view(-1, 6, 2, 6, 2).permute(0, 2, 4, 1, 3).reshape(-1, 4, 6, 6)


def pixels(values: Tensor) -> Tensor:
    return (values.view(-1, 2, 2, 6, 6).permute(0, 3, 1, 4, 2).reshape(-1, 1, 12, 12) + 1) / 2


class Gaussian:
    """Levels 1 to 3 of a chain of 4 steps (250, 500 and 750 of 1000), cosine schedule, and the known denoiser."""

    def __init__(self) -> None:
        from diffusers import DDPMScheduler

        cumulative = DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod.double()
        self.kept = [1.0, *cumulative[[249, 499, 749]].tolist()]

    def clean(self, noised: Tensor, level: int) -> Tensor:
        kept = self.kept[level]
        return (kept**0.5 * SPREAD**2 / (kept * SPREAD**2 + 1 - kept) * noised).clamp(-1, 1)

    def variance(self, level: int) -> float:
        return (1 - self.kept[level] / self.kept[level - 1]) * (1 - self.kept[level - 1]) / (1 - self.kept[level])

    def mean(self, noised: Tensor, level: int) -> Tensor:
        """By the estimate of the noise (Ho et al., arXiv 2006.11239, equation 11)."""
        kept, share = self.kept[level], self.kept[level] / self.kept[level - 1]
        noise = (noised - kept**0.5 * self.clean(noised, level)) / (1 - kept) ** 0.5
        return (noised - (1 - share) / (1 - kept) ** 0.5 * noise) / share**0.5


def slope(values: Tensor, targets: Tensor, pull: str) -> Tensor:
    """Gradient of the target's log probability or odds by values: filters.T @ (onehot - p), halved by the codec."""
    images = pixels(values)
    chances = Thirds()(images).softmax(1)
    filters = torch.stack([(torch.arange(12) // 4 == third) * 20 / 48 for third in range(3)])
    error = torch.eye(3)[targets] - chances
    if pull == "odds":
        error = error / (1 - chances.gather(1, targets[:, None]))
    rows = (error @ filters)[:, None, None, :].expand_as(images)
    return blocks((rows / 2 + 1) / 2)


@pytest.mark.parametrize("pull", ["odds", "probability"])
@pytest.mark.parametrize("name", ["dime", "fast-dime"])
def test_guided_steps_are_those_computed_by_hand(name: str, pull: str, toy_folder: Path) -> None:
    """Down three levels: at the query, at a nested or one-step estimate, and without a pull."""
    task, known, depth, scale, proximity = Task(LinearToy(toy_folder)), Gaussian(), 3, 0.8, 0.2
    parameters = {"warmup": 1.0} if name == "fast-dime" else {}
    outcome, view = explained(
        task, name, steps=4, depth=depth, scales=[scale], proximity=proximity, perception=0.0, pull=pull, **parameters
    )
    targets, values = task.targets[:COUNT], blocks(task.images(slice(COUNT)))
    random = QueryRandom(list(range(COUNT)))

    def draw() -> Tensor:
        return random.normal(4, 6, 6)

    def guided(noised: Tensor, seen: Tensor, level: int) -> Tensor:
        pull_ = -scale * slope(seen, targets, pull) / known.kept[level] ** 0.5 + proximity * (noised - values).sign()
        variance = known.variance(level)
        return known.mean(noised, level) - variance * pull_ + variance**0.5 * draw()

    noised = known.kept[3] ** 0.5 * values + (1 - known.kept[3]) ** 0.5 * draw()
    noised = guided(noised, values, 3)
    seen = known.clean(noised, 2)
    if name == "dime":
        seen = known.clean(known.mean(noised, 2) + known.variance(2) ** 0.5 * draw(), 1)
    expected = pixels(known.clean(guided(noised, seen, 2), 1))
    assert float((outcome.images / 255 - expected).abs().max()) <= 0.5 / 255 + 1e-4
    assert view.counter.generated == COUNT * {"dime": 4, "fast-dime": 3}[name]


SETTINGS: dict[str, dict[str, Any]] = {
    "dime": {"scales": [2.0, 6.0], "steps": 12, "depth": 5, "confidence": 0.6, "perception": 5.0},
    "fast-dime": {"scales": [2.0, 6.0], "steps": 12, "depth": 6, "confidence": 0.6, "perception": 5.0},
    "ace": {"iterations": 6, "rate": 0.03, "steps": 12, "depth": 3, "confidence": 0.9},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_batch_gives_what_the_plain_transcription_gives(name: str, toy_folder: Path) -> None:
    task = Task(Toy(toy_folder))
    outcome, _ = explained(task, name, **SETTINGS[name])
    method = METHODS.load(name).create(SETTINGS[name])
    model, classifier = task.load("diffusion"), task.load("classifier")
    single = PlainACE if name == "ace" else PlainDiME
    for index in range(COUNT):
        random = QueryRandom([index])
        plain = single(model, classifier, method, lambda random=random: random.normal(*model.shape))
        expected = plain(task.images(slice(index, index + 1)), task.targets[index : index + 1])
        assert float((outcome.images[index] / 255 - expected[0]).abs().max()) <= 0.5 / 255 + 1e-3


@pytest.mark.parametrize("depth", [2, 5, 8])
def test_a_scale_of_dime_costs_what_the_paper_states_but_for_shared_passes(depth: int, toy_folder: Path) -> None:
    """depth (depth + 1) / 2 less one a level from which the nested denoising starts; the first once for all scales."""
    task = Task(Toy(toy_folder))
    scales = [0.001, 0.002, 0.003]
    _, view = explained(task, "dime", scales=scales, depth=depth, steps=20, confidence=0.999999)
    assert view.counter.generated == COUNT * (1 + len(scales) * (depth * (depth + 1) // 2 - (depth - 1) - 1))


def test_fast_dime_costs_a_pass_a_level(toy_folder: Path) -> None:
    task = Task(Toy(toy_folder))
    _, view = explained(task, "fast-dime", scales=[0.001, 0.002], depth=7, steps=20, confidence=0.999999)
    assert view.counter.generated == COUNT * (1 + 2 * 6)


def test_ace_costs_depth_passes_a_step_and_as_many_at_the_end(toy_folder: Path) -> None:
    task = Task(Toy(toy_folder))
    outcome, view = explained(task, "ace", iterations=4, depth=3, steps=20, rate=1e-6, confidence=0.999999)
    assert view.counter.generated == COUNT * (4 + 1) * 3
    assert view.counter.backwards == COUNT * 4
    assert outcome.columns["steps"].tolist() == [4] * COUNT


@pytest.mark.parametrize("name", ["dime", "fast-dime"])
def test_scales_are_tried_until_the_stored_image_is_sure(name: str, toy_folder: Path) -> None:
    """The known denoiser and a linear classifier: a first scale that moves nothing, one that moves some, one all."""
    task = Task(LinearToy(toy_folder))
    settings = {"scales": [1e-6, 3.0, 50.0], "steps": 4, "depth": 3, "perception": 0.0, "confidence": 0.7}
    outcome, view = explained(task, name, **settings)
    chances = Thirds()(outcome.images / 255).softmax(1).gather(1, task.targets[:COUNT, None])[:, 0]
    scales = outcome.columns["scale"]
    assert (chances[scales < 50] >= 0.7).all()
    assert set(scales.tolist()) == {3.0, 50.0}
    tried = (scales > 1e-6).sum() + (scales > 3).sum()
    assert view.counter.generated == COUNT + {"dime": 3, "fast-dime": 2}[name] * (COUNT + tried)


def test_fast_dime_changes_only_what_lies_inside_its_mask(toy_folder: Path) -> None:
    task = Task(Toy(toy_folder))
    settings = {**SETTINGS["fast-dime"], "warmup": 0.5, "threshold": 0.9}
    masked, _ = explained(task, "fast-dime", **settings, dilation=1)
    dilated, _ = explained(task, "fast-dime", **settings, dilation=5)
    kept = [float((each.images == task.stored[:COUNT]).float().mean()) for each in (masked, dilated)]
    assert kept[0] > 0.9
    assert kept[0] > kept[1]


def test_without_a_pull_and_a_mask_fast_dime_is_the_models_own_denoising(toy_folder: Path) -> None:
    task = Task(Toy(toy_folder))
    settings = {"scales": [1e-9], "proximity": 0.0, "perception": 0.0, "steps": 12, "depth": 6}
    outcome, _ = explained(task, "fast-dime", **settings, warmup=1.0)
    model = task.load("diffusion")
    chain = Chain(model, count=12, depth=6)
    random = QueryRandom(list(range(COUNT)))
    noised = chain.noised(model.codec.encode(task.images(slice(COUNT))), random.normal(*model.shape), 6)
    with torch.no_grad():
        for level in range(6, 1, -1):
            noised = chain.step(noised, chain.clean(noised, level), level, random.normal(*model.shape))
            random.normal(*model.shape) if level < 6 else None
        expected = model.codec.decode(chain.clean(noised, 1))
    assert float((outcome.images / 255 - expected).abs().max()) <= 0.5 / 255 + 1e-4


def test_ace_takes_a_sign_step_known_by_hand(toy_folder: Path) -> None:
    """The known denoiser only shrinks and a third of the picture speaks for its class alone, whatever the noise."""
    task, known = Task(LinearToy(toy_folder)), Gaussian()
    settings = {"iterations": 1, "rate": 0.1, "steps": 4, "depth": 1, "threshold": 0.0}
    outcome, _ = explained(task, "ace", **settings)
    images, targets = task.images(slice(COUNT)), task.targets[:COUNT]
    towards = torch.where(torch.arange(12) // 4 == targets[:, None], 0.1, -0.1)[:, None, None, :]
    random = QueryRandom(list(range(COUNT)))
    random.normal(4, 6, 6)
    values, noise = blocks((images + towards).clamp(0, 1)), random.normal(4, 6, 6)
    expected = pixels(known.clean(known.kept[1] ** 0.5 * values + (1 - known.kept[1]) ** 0.5 * noise, 1))
    assert float((outcome.images / 255 - expected).abs().max()) <= 0.5 / 255 + 1e-4


def test_ace_changes_only_what_lies_inside_its_mask(toy_folder: Path) -> None:
    task = Task(Toy(toy_folder))
    narrow, _ = explained(task, "ace", **SETTINGS["ace"], threshold=0.9, dilation=1)
    wide, _ = explained(task, "ace", **SETTINGS["ace"], threshold=0.9, dilation=5)
    kept = [(each.images == task.stored[:COUNT]).flatten(1).float().mean(1) for each in (narrow, wide)]
    assert (kept[0] > 0.1).all()
    assert float(kept[0].mean()) > float(kept[1].mean())


def test_queries_that_are_sure_leave_the_attack(toy_folder: Path) -> None:
    task = Task(LinearToy(toy_folder))
    settings = {"iterations": 40, "rate": 0.02, "steps": 50, "depth": 2, "confidence": 0.7}
    outcome, view = explained(task, "ace", **settings)
    steps = outcome.columns["steps"]
    assert (steps < 40).all()
    assert len(set(steps.tolist())) > 1
    assert view.counter.generated == 2 * (steps.sum() + COUNT + COUNT)


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("dime", {"scales": []}, r"scales are \(\), .* expected scales above 0"),
        ("dime", {"scales": [1.0, 0.0]}, r"scales are \(1.0, 0.0\)"),
        ("dime", {"proximity": -1.0}, "proximity -1.0"),
        ("dime", {"perception": -1.0}, "perception -1.0"),
        ("dime", {"confidence": 1.0}, "confidence 1.0"),
        ("dime", {"depth": 1}, "depth 1; expected .* depth >= 2"),
        ("dime", {"pull": "logit"}, "parameter pull of method dime: Input should be 'probability' or 'odds'"),
        ("fast-dime", {"scales": [-1.0]}, r"scales are \(-1.0,\)"),
        ("fast-dime", {"warmup": 1.5}, "warmup is 1.5"),
        ("fast-dime", {"threshold": -0.1}, "threshold -0.1"),
        ("fast-dime", {"dilation": 4}, "dilation 4; expected .* dilation odd"),
        ("ace", {"proximity": -1.0}, "proximity is -1.0"),
        ("ace", {"rate": 0.0}, "rate 0.0"),
        ("ace", {"iterations": 0}, "iterations 0"),
        ("ace", {"confidence": 0.0}, "confidence 0.0"),
        ("ace", {"threshold": 2.0}, "threshold is 2.0"),
        ("ace", {"dilation": 0}, "dilation 0"),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        METHODS.load(name).create(parameters)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_chain_deeper_than_its_steps_is_refused(name: str, toy_folder: Path) -> None:
    with pytest.raises(InvalidParameter, match="a chain of depth 9 of 8 steps"):
        explained(Task(Toy(toy_folder)), name, steps=8, depth=9)


class Ungenerated(Toy):
    networks = {name: spec for name, spec in Toy.networks.items() if name != "diffusion"}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_task_without_a_diffusion_model_says_so(name: str, toy_folder: Path) -> None:
    method = METHODS.load(name)()
    with pytest.raises(MissingResource, match="defines 0 networks of role 'diffusion', expected one"):
        method.setup(MethodView(Task(Ungenerated(toy_folder)), method.needs))
