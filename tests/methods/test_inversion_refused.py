"""What the methods of per-image optimisation refuse, and what becomes of an optimisation that diverges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from cfbench.dataset import NetworkSpec
from cfbench.errors import AccessDenied, InvalidParameter, MethodFailed, MissingResource
from cfbench.harness import evaluate
from cfbench.production import explain_isolated
from cfbench.registry import METHODS
from cfbench.task import Task
from cfbench.testing import Toy
from cfbench.view import MethodView

OPTIMISERS = ("dip", "dip-loss", "disc", "deep-inversion", "tv-inversion")


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("dip", {"warmup": -1}, "warmup is -1"),
        ("dip", {"steps": 0}, "steps 0"),
        ("dip", {"confidence": 1.0}, "0 < confidence < 1"),
        ("dip-loss", {"guidance": -1.0}, "guidance is -1.0; expected at least 0"),
        ("dip-loss", {"rate": 0.0}, "others above 0"),
        ("disc", {"guidance": -0.5}, "guidance -0.5"),
        ("disc", {"target": 0.0}, "target 0.0"),
        ("disc", {"prior": "gan"}, "parameter prior of method disc: Input should be 'pixels', 'dip', 'siren' or"),
        ("deep-inversion", {"statistics": -1.0}, "statistics -1.0"),
        ("deep-inversion", {"rate": "fast"}, "parameter rate of method deep-inversion"),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        METHODS.load(name).create(parameters)


def without(*names: str) -> type[Toy]:
    """The toy task without some networks."""
    kept = {name: spec for name, spec in Toy.networks.items() if name not in names}
    return type("Without", (Toy,), {"networks": kept})


@pytest.mark.parametrize(
    ("name", "parameters", "role"),
    [
        ("dip-loss", {}, "loss-estimator"),
        ("disc", {"consistency": "dep"}, "loss-estimator"),
        ("disc", {"consistency": "duq"}, "duq"),
    ],
)
def test_a_task_without_the_networks_says_so(
    name: str, parameters: dict[str, Any], role: str, toy_folder: Path
) -> None:
    method = METHODS.load(name).create(parameters)
    with pytest.raises(MissingResource, match=f"defines 0 networks of role '{role}', expected one; choose another"):
        method.setup(MethodView(Task(without(role)(toy_folder)), method.needs))


class Unbuilt(Toy):
    """A second loss estimator in place of the first, which nobody has trained."""

    networks: ClassVar[Mapping[str, NetworkSpec]] = {
        **{name: spec for name, spec in Toy.networks.items() if name != "loss-estimator"},
        "loss-estimator-2": Toy.networks["loss-estimator"],
    }


def test_a_network_that_is_not_built_says_which_command_builds_it(toy_folder: Path) -> None:
    method = METHODS.load("dip-loss")()
    said = "network 'loss-estimator-2' of toy@v1 is not built; run: cfbench prepare toy --train --only loss-estimator-2"
    with pytest.raises(MissingResource, match=said):
        method.setup(MethodView(Task(Unbuilt(toy_folder)), method.needs))


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_classifier_without_readable_layers_is_refused(
    name: str, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = METHODS.load(name).create(METHODS.load(name).quick)
    opaque = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(task.images(slice(0, 1)).numel(), 3)).eval()
    monkeypatch.setattr(task, "load", lambda _: opaque.requires_grad_(False))
    monkeypatch.setattr(MethodView, "network", lambda self, role: nn.Identity())
    method.setup(MethodView(task, method.needs))
    with pytest.raises(AccessDenied, match="Sequential has no readable stages; subclass FeatureNetwork"):
        method(task.images(slice(0, 2)), task.targets[:2], seeds=[0, 1])


@pytest.mark.parametrize("name", ["dip", "disc"])
def test_images_too_small_for_the_prior_are_refused(name: str, task: Task) -> None:
    method = METHODS.load(name).create({**METHODS.load(name).quick, "widths": [4] * 5})
    method.setup(MethodView(task, method.needs))
    with pytest.raises(InvalidParameter, match="5 scales, which need images of more than 32 pixels"):
        method(task.images(slice(0, 2)), task.targets[:2], seeds=[0, 1])


def test_an_unknown_layer_is_refused(task: Task) -> None:
    method = METHODS.load("dip").create({**METHODS.load("dip").quick, "layers": [7]})
    method.setup(MethodView(task, method.needs))
    with pytest.raises(InvalidParameter, match="7 is not a feature map of the classifier; expected 0 to 1"):
        method(task.images(slice(0, 2)), task.targets[:2], seeds=[0, 1])


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_query_that_diverges_fails_alone(name: str, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """The classifier answers NaN on what is made of the second of three queries, as long as it is among them."""
    method = METHODS.load(name).create(METHODS.load(name).quick)
    method.setup(MethodView(task, method.needs))
    outputs = method.task.classifier.outputs

    def poisoned(images: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        maps, logits = outputs(images)
        wrong = torch.zeros(len(images), 1)
        if len(images) == 3:
            wrong[1] = torch.nan
        return maps, logits + wrong

    monkeypatch.setattr(method.task.classifier, "outputs", poisoned)
    outcome = explain_isolated(method, task, range(3), seed=0)
    assert [bool(error) for error in outcome.errors] == [False, True, False]
    assert "not finite" in outcome.errors[1]
    assert torch.equal(outcome.images[1], task.stored[1])


def test_rates_that_throw_everything_off_leave_nothing_behind(task: Task, tmp_path: Path) -> None:
    method = METHODS.load("dip").create({**METHODS.load("dip").quick, "rate": 1e38})
    with pytest.raises(MethodFailed, match="failed on each of its first"):
        evaluate(method, task, root=tmp_path, limit=20)
