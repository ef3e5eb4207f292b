"""Guided denoising with the exact denoiser of a Gaussian and linear classifiers: a step is known in closed form."""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from known_diffusion import SPREAD, GaussianDiffusion
from own_pictures import Thirds
from plain_diffusion import Plain
from plain_guided import PlainDVCE, PlainLDCE
from torch import Tensor, nn

from cfbench.conditions import Condition
from cfbench.errors import InvalidParameter, MissingResource
from cfbench.harness import evaluate
from cfbench.method import Outcome
from cfbench.registry import METHODS
from cfbench.seeds import QueryRandom
from cfbench.task import Task
from cfbench.testing import Toy
from cfbench.testing.toy import SIDE
from cfbench.view import MethodView

COUNT = 10
PIXELS = SIDE * SIDE
COLUMNS = (torch.arange(PIXELS) % SIDE) // (SIDE // 3)
FILTERS = 20 / (PIXELS // 3) * torch.stack([(third == COLUMNS).float() for third in range(3)])
"""The logits of :class:`Thirds` as a matrix, ``[3, pixels]``."""
_random = torch.Generator().manual_seed(5)
ROBUST = 0.15 * torch.randn(3, PIXELS, generator=_random) + FILTERS / 2
MEANS = 0.3 * torch.randn(3, 4, SIDE // 2, SIDE // 2, generator=_random)


class Linear(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ ROBUST.T


DENOISER = GaussianDiffusion.of_pixels(channels=1, side=SIDE, classes=3, widths=(8, 8))
DENOISER.means = MEANS


class LinearToy(Toy):
    """The toy task with that denoiser and classifiers that are linear."""

    made: ClassVar[dict[str, nn.Module]] = {"diffusion": DENOISER, "robust": Linear(), "classifier": Thirds()}

    def network(self, name: str) -> nn.Module:
        return deepcopy(self.made[name]).eval() if name in self.made else super().network(name)


def kept(step: int) -> float:
    """What is left of the variance of x_0 after ``step`` of 1,000, by the cosine schedule's definition."""

    def curve(share: float) -> float:
        return math.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2

    left = 1.0
    for each in range(step):
        left *= 1 - min(1 - curve((each + 1) / 1000) / curve(each / 1000), 0.999)
    return left


def shrink(level: float) -> float:
    """The estimate of x_0 under no weights as a share of x, where ``level`` of its variance is kept."""
    return math.sqrt(level) * SPREAD**2 / (level * SPREAD**2 + 1 - level)


def explained(task: Task, name: str, **parameters: Any) -> tuple[Outcome, MethodView]:
    method = METHODS.load(name).create(parameters)
    view = MethodView(task, method.needs)
    method.setup(view)
    return method(task.images(slice(COUNT)), task.targets[:COUNT], seeds=list(range(COUNT))), view


def estimate(noised: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """That estimate, within the bound of the values of pixels, and where it was within by itself."""
    clean = shrink(level) * noised
    return clean.clamp(-1, 1), clean.abs() <= 1


def ascent(filters: Tensor, clean: Tensor, targets: Tensor) -> Tensor:
    """Gradient of log p_t with respect to pixels in [-1, 1]."""
    return (torch.eye(3)[targets] - ((clean + 1) / 2 @ filters.T).softmax(1)) @ filters


def of_length_one(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True)


def flat(codes: Tensor) -> Tensor:
    """Blocks of pixels ``[B, 4, s, s]`` as rows of pixels ``[B, pixels]``."""
    return F.pixel_shuffle(codes, 2).flatten(1)


def assert_made(outcome: Outcome, pixels: Tensor) -> None:
    expected = ((pixels + 1) / 2).clamp(0, 1)
    assert float((outcome.images.flatten(1) / 255 - expected).abs().max()) <= 0.5 / 255 + 1e-4


@pytest.mark.parametrize("angle", [10.0, 70.0])
def test_one_guided_step_of_dvce(angle: float, toy_folder: Path) -> None:
    """Of 20 steps two are gone down; the last one, which has no variance, gives the estimate."""
    task = Task(LinearToy(toy_folder))
    outcome, _ = explained(task, "dvce", target=4.0, distance=1.5, angle=angle, steps=20, depth=2)
    queries, targets = task.images(slice(COUNT)).flatten(1) * 2 - 1, task.targets[:COUNT]
    random = QueryRandom(list(range(COUNT)))
    first, second = (flat(random.normal(4, SIDE // 2, SIDE // 2)) for _ in range(2))
    high, low = kept(100), kept(50)
    noised = math.sqrt(high) * queries + math.sqrt(1 - high) * first
    clean, within = estimate(noised, high)
    axes = of_length_one(ascent(FILTERS, clean, targets) * within)
    wanted = of_length_one(ascent(ROBUST, clean, targets) * within)
    cosines = (axes * wanted).sum(1, keepdim=True)
    assert ((cosines > math.cos(math.radians(angle))) == (angle > 60)).all(), "one of the two cones holds all"
    aside = of_length_one(wanted - cosines * axes)
    rim = math.cos(math.radians(angle)) * axes + math.sin(math.radians(angle)) * aside
    pull = 4.0 * torch.where(cosines >= math.cos(math.radians(angle)), wanted, rim)
    pull = pull - 1.5 * of_length_one((clean - queries).sign() * within)
    share = high / low
    mean = (math.sqrt(low) * (1 - share) * clean + math.sqrt(share) * (1 - low) * noised) / (1 - high)
    variance = (1 - share) * (1 - low) / (1 - high)
    below = mean + variance * mean.norm(dim=1, keepdim=True) * pull + math.sqrt(variance) * second
    assert_made(outcome, shrink(low) * below)


@pytest.mark.parametrize("angle", [55.0, 180.0])
def test_one_guided_step_of_ldce(angle: float, toy_folder: Path) -> None:
    task = Task(LinearToy(toy_folder))
    outcome, _ = explained(task, "ldce", target=2.0, distance=0.7, angle=angle, steps=10, depth=1)
    queries, targets = task.images(slice(COUNT)).flatten(1) * 2 - 1, task.targets[:COUNT]
    noise = flat(QueryRandom(list(range(COUNT))).normal(4, SIDE // 2, SIDE // 2))
    level = kept(100)
    noised = math.sqrt(level) * queries + math.sqrt(1 - level) * noise
    clean, within = estimate(noised, level)
    told = shrink(level) * noised + (1 - shrink(level) * math.sqrt(level)) * flat(MEANS[targets])
    implicit = told.clamp(-1, 1) - clean
    slope = ascent(FILTERS, clean, targets) * within
    agreed = slope.clone()
    for row in range(COUNT):
        pictures = (slope[row].view(SIDE, SIDE), implicit[row].view(SIDE, SIDE), agreed[row].view(SIDE, SIDE))
        for top in range(0, SIDE, 2):
            for left in range(0, SIDE, 2):
                one, other, out = (each[top : top + 2, left : left + 2] for each in pictures)
                if (one * other).sum() < math.cos(math.radians(angle)) * one.norm() * other.norm():
                    out.zero_()
    assert 0.1 < float((agreed != 0).float().mean()) < 0.9 or angle == 180
    pull = 2.0 * of_length_one(agreed) - 0.7 * of_length_one((clean - queries).sign() * within)
    assert_made(outcome, clean + implicit.norm(dim=1, keepdim=True) * pull)


@pytest.mark.parametrize("name", ["dvce", "ldce"])
def test_a_batch_gives_what_the_plain_transcription_gives(name: str, toy_folder: Path) -> None:
    """Projection, then direction; moves of the predicted noise: the papers' own forms, an image at a time."""
    task = Task(Toy(toy_folder))
    settings = {"target": 3.0, "distance": 0.5, "steps": 12, "depth": 4}
    outcome, _ = explained(task, name, **settings)
    method = METHODS.load(name).create(settings)
    model, classifier = task.load("diffusion"), task.load("classifier")
    for index in range(COUNT):
        random = QueryRandom([index])

        def draw(random: QueryRandom = random) -> Tensor:
            return random.normal(4, SIDE // 2, SIDE // 2)

        if name == "dvce":
            plain: Plain = PlainDVCE(model, classifier, method, draw, robust=task.load("robust"))
        else:
            plain = PlainLDCE(model, classifier, method, draw)
        expected = plain(task.images(slice(index, index + 1)), task.targets[index : index + 1])
        assert float((outcome.images[index] / 255 - expected[0]).abs().max()) <= 0.5 / 255 + 1e-3


@pytest.mark.parametrize(("name", "passes", "guided"), [("dvce", 5, 4), ("ldce", 2 * 5, 5)])
def test_what_a_query_costs(name: str, passes: int, guided: int, toy_folder: Path, tmp_path: Path) -> None:
    """Of five levels: a pass each, or two; classifiers in those whose step is guided."""
    record, _ = evaluate(METHODS.load(name)(steps=8, depth=5), Task(Toy(toy_folder)), root=tmp_path, limit=6)
    assert (record.queries.done, record.queries.failed) == (6, 0)
    assert record.cost.generated == 6 * passes
    assert (record.cost.forwards, record.cost.backwards) == (6 * guided, 6 * guided)


class Attributed:
    """The side of a task whose model is made of attributes."""

    num_classes = 2
    class_names = ("not left", "left")
    attribute_names = ("Bald", "Left", "Wavy_Hair")

    def network(self, role: str) -> nn.Module:
        assert role == "attributes"
        return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 3, bias=False))


class Unnamed(Attributed):
    class_names = ("no", "yes")


def test_a_model_of_attributes_is_told_those_of_the_query_but_for_the_target() -> None:
    images = torch.zeros(2, 1, SIDE, SIDE)
    asked = Condition(Attributed(), DENOISER)(images, torch.tensor([0, 1]))  # type: ignore[arg-type]
    assert asked.tolist() == [[0.5, 0.0, 0.5], [0.5, 1.0, 0.5]]


def test_attributes_without_a_class_are_of_no_use() -> None:
    with pytest.raises(MissingResource, match=r"none of them is a class \(no, yes\); choose another task"):
        Condition(Unnamed(), DENOISER)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("dvce", {"target": 0.0}, "target is 0.0"),
        ("dvce", {"distance": -1.0}, "distance >= 0"),
        ("dvce", {"angle": 91.0}, "0 <= angle <= 90"),
        ("dvce", {"depth": 1}, "depth 1; expected"),
        ("ldce", {"target": -1.0}, "target is -1.0"),
        ("ldce", {"distance": -1.0}, "distance >= 0"),
        ("ldce", {"angle": 181.0}, "0 <= angle <= 180"),
        ("ldce", {"steps": "many"}, "parameter steps of method ldce"),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        METHODS.load(name).create(parameters)


@pytest.mark.parametrize("name", ["dvce", "ldce"])
def test_impossible_chains_are_refused(name: str, toy_folder: Path) -> None:
    method = METHODS.load(name)(steps=4, depth=5)
    with pytest.raises(InvalidParameter, match="a chain of depth 5 of 4 steps"):
        method.setup(MethodView(Task(Toy(toy_folder)), method.needs))
