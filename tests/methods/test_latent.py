"""Latent searches with linear generators and a linear classifier: one step is known in closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from linear_toy import BASIS, FILTERS, LATENT, PIXELS, READING, LinearToy, explained, picture
from own_pictures import Thirds

from cfbench.errors import InvalidParameter, MissingResource
from cfbench.harness import evaluate
from cfbench.images import quantise
from cfbench.registry import METHODS
from cfbench.task import Task
from cfbench.testing import Toy
from cfbench.view import MethodView

SEARCHES = ("vae-latent", "gan-latent", "diffeomorphic", "latent-shift")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("vae-latent", {"proximity": 40.0}),
        ("gan-latent", {"proximity": 40.0}),
        ("gan-latent", {"proximity": 40.0, "condition_rate": 0.0}),
        ("diffeomorphic", {}),
    ],
)
def test_one_step_goes_down_the_gradient_known_by_hand(name: str, parameters: dict[str, Any], toy_folder: Path) -> None:
    """Adam's first step is the rate against the gradient's sign: ``basis @ (filters.T @ (p - onehot) + pull)``."""
    task = Task(LinearToy(toy_folder))
    outcome, _ = explained(task, name, steps=1, rate=0.05, confidence=0.999, **parameters)
    queries, targets = task.images(slice(12)).flatten(1), task.targets[:12]
    start = queries @ READING
    if name == "gan-latent":
        start = torch.cat([start, torch.eye(3)[(queries @ FILTERS.T).argmax(1)]], dim=1)
    made = picture(start).flatten(1)
    error = (made @ FILTERS.T).softmax(1) - torch.eye(3)[targets]
    pull = error @ FILTERS + parameters.get("proximity", 0.0) * (made - queries).sign() / PIXELS
    step = -0.05 * (pull @ BASIS[: start.shape[1]].T).sign()
    if not parameters.get("condition_rate", 0.05):
        step[:, LATENT:] = 0
    codes = start + step
    codes[:, LATENT:].clamp_(0, 1)
    assert float((outcome.images.flatten(1) / 255 - picture(codes).flatten(1)).abs().max()) <= 0.5 / 255 + 1e-4
    assert outcome.columns["steps"].tolist() == [1] * 12


def test_without_proximity_the_search_in_the_vae_is_the_ascent(toy_folder: Path) -> None:
    task = Task(LinearToy(toy_folder))
    settings = {"steps": 20, "rate": 0.02, "confidence": 0.9}
    searched, _ = explained(task, "vae-latent", proximity=0.0, inversion=0, **settings)
    ascended, _ = explained(task, "diffeomorphic", **settings)
    assert torch.equal(searched.images, ascended.images)


@pytest.mark.parametrize("proximity", [0.0, 40.0])
def test_one_step_of_a_shift_goes_down_the_gradient_at_the_query(proximity: float, toy_folder: Path) -> None:
    """The distance has no slope at the query itself, so that only the target pulls; where no pixel is clipped."""
    task = Task(LinearToy(toy_folder))
    outcome, _ = explained(task, "latent-shift", 60, steps=1, rate=0.05, confidence=0.999, proximity=proximity)
    queries, targets = task.images(slice(60)).flatten(1), task.targets[:60]
    error = (queries @ FILTERS.T).softmax(1) - torch.eye(3)[targets]
    step = -0.05 * (error @ FILTERS @ BASIS[:LATENT].T).sign()
    made = (queries + step @ BASIS[:LATENT]).clamp(0, 1)
    apart = (outcome.images.flatten(1) / 255 - made).abs().amax(1)
    whole = ((queries > 0) & (queries < 1)).all(1)
    assert int(whole.sum()) >= 3
    assert float(apart[whole].max()) <= 0.5 / 255 + 1e-4


def test_a_query_that_is_sure_already_is_its_own_shift(toy_folder: Path) -> None:
    task = Task(LinearToy(toy_folder))
    queries = task.images(slice(12))
    chances = Thirds()(quantise(queries) / 255).softmax(1).gather(1, task.targets[:12, None])
    outcome, _ = explained(task, "latent-shift", confidence=float(chances.min()) / 2)
    assert torch.equal(outcome.images, quantise(queries))
    assert outcome.columns["steps"].tolist() == [0] * 12


@pytest.mark.parametrize("name", SEARCHES)
def test_images_are_taken_when_the_target_is_sure(name: str, toy_folder: Path) -> None:
    task = Task(LinearToy(toy_folder))
    outcome, view = explained(task, name, steps=200, rate=0.02, confidence=0.8)
    chances = Thirds()(outcome.images / 255).softmax(1).gather(1, task.targets[:12, None])
    assert (chances >= 0.8).all()
    assert (chances < 0.9).all(), "and no later"
    steps = outcome.columns["steps"]
    assert (steps < 200).all()
    assert view.counter.generated >= steps.sum() + 12
    assert view.counter.backwards <= steps.sum() + 12


@pytest.mark.parametrize("name", SEARCHES)
def test_a_run_stores_when_each_was_taken(name: str, toy_folder: Path, tmp_path: Path) -> None:
    method = METHODS.load(name).create(METHODS.load(name).quick)
    record, _ = evaluate(method, Task(Toy(toy_folder)), root=tmp_path, limit=6)
    assert (record.queries.done, record.queries.failed) == (6, 0)
    assert record.cost.generated > 0


@pytest.mark.parametrize("name", ["vae-latent", "gan-latent"])
def test_inversion_brings_the_start_nearer(name: str, toy_folder: Path) -> None:
    task = Task(LinearToy(toy_folder))
    errors = []
    for inversion in (0, 200):
        outcome, _ = explained(task, name, inversion=inversion, steps=1, rate=0.02)
        errors.append(float((outcome.images / 255 - task.images(slice(12))).square().mean()))
    assert errors[1] < errors[0]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"confidence": 0.0}, "confidence is 0.0|confidence 0.0"),
        ({"confidence": 1.0}, "0 < confidence < 1"),
        ({"steps": 0}, "steps 0"),
        ({"rate": 0.0}, "rate above 0"),
        ({"rate": "fast"}, "parameter rate of method"),
    ],
)
@pytest.mark.parametrize("name", SEARCHES)
def test_parameters_out_of_range_are_refused(name: str, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        METHODS.load(name).create(parameters)


@pytest.mark.parametrize(
    ("parameters", "said"), [({"proximity": -1.0}, "proximity is -1.0"), ({"inversion": -1}, "inversion -1")]
)
@pytest.mark.parametrize("name", ["vae-latent", "gan-latent"])
def test_a_negative_weight_or_number_of_steps_is_refused(name: str, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        METHODS.load(name).create(parameters)


class Ungenerated(Toy):
    networks = {name: spec for name, spec in Toy.networks.items() if name not in ("gan", "vae")}


@pytest.mark.parametrize(
    ("name", "role"), [("vae-latent", "vae"), ("gan-latent", "gan"), ("diffeomorphic", "vae"), ("latent-shift", "vae")]
)
def test_a_task_without_the_generator_says_so(name: str, role: str, toy_folder: Path) -> None:
    method = METHODS.load(name)()
    with pytest.raises(
        MissingResource, match=f"defines 0 networks of role '{role}', expected one; choose another task"
    ):
        method.setup(MethodView(Task(Ungenerated(toy_folder)), method.needs))
