"""Attacks of foolbox against closed forms, against our own attack, and what is refused."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from two_pixels import ONE, Linear, pair, ready

from cfbench.errors import InvalidParameter, MissingResource
from cfbench.images import dequantise, quantise
from cfbench.registry import METHODS
from cfbench.task import Task
from cfbench.view import MethodView

needs_foolbox = pytest.mark.skipif(find_spec("foolbox") is None, reason="foolbox is not installed")


@needs_foolbox
@pytest.mark.parametrize(("norm", "attack"), [("linf", "LinfPGD"), ("l2", "L2PGD")])
def test_projected_gradient_descent_is_our_own(norm: str, attack: str) -> None:
    epsilon, steps = 0.2, 10
    image = pair(0.1, 0.2)
    ours = ready("pgd", norm=norm, epsilon=epsilon, steps=steps).explain(image, ONE)
    settings = {"abs_stepsize": 2.5 * epsilon / steps, "steps": steps, "random_start": False}
    method = ready("foolbox", attack=attack, epsilon=epsilon, settings=settings)
    theirs = method.explain(image, ONE)
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert float((ours - image).flatten().norm(p=2 if norm == "l2" else torch.inf)) == pytest.approx(epsilon)
    assert method.task.classifier.counter.backwards == steps
    assert method.task.classifier.counter.forwards == steps + 1, "the steps, and foolbox's look at what came out"


@needs_foolbox
@pytest.mark.parametrize(
    ("attack", "settings"),
    [
        ("DDNAttack", {"steps": 300}),
        ("L2CarliniWagnerAttack", {"binary_search_steps": 5, "steps": 200}),
    ],
)
def test_the_smallest_change_goes_along_the_slope(attack: str, settings: dict[str, Any]) -> None:
    """That of a linear classifier is ``-lead w / |w|^2``, here with a lead of -0.6 and slopes w of 2 and 1."""
    found = ready("foolbox", attack=attack, settings=settings).explain(pair(0.1, 0.2), ONE)
    assert found.flatten().tolist() == pytest.approx([0.1 + 0.24, 0.2 + 0.12], abs=0.02)
    assert Linear()(dequantise(quantise(found))).argmax(1) == ONE, "also when stored"


@needs_foolbox
def test_random_numbers_are_the_query_s_own(task: Task) -> None:
    """The same seed, the same image, whatever its batch; another seed, another one; and no trace of either."""
    method = METHODS.load("foolbox").create({"attack": "LinfPGD", "epsilon": 0.1, "settings": {"steps": 1}})
    method.setup(MethodView(task, method.needs))
    state = torch.get_rng_state()
    images, targets = task.images(slice(0, 2)), task.targets[:2]
    both = method(images, targets, seeds=[3, 4]).images
    alone = method(images[1:], targets[1:], seeds=[4]).images
    other = method(images[1:], targets[1:], seeds=[5]).images
    assert torch.equal(both[1:], alone)
    assert not torch.equal(alone, other)
    assert torch.equal(torch.get_rng_state(), state)


@needs_foolbox
@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (
            {"attack": "CarliniWagner"},
            "unknown attack 'CarliniWagner' of foolbox; choose one of: L2CarliniWagnerAttack",
        ),
        ({"attack": "Attack"}, "unknown attack 'Attack'"),
        ({"attack": "LinfPGD"}, "attack LinfPGD makes changes of a fixed size; give epsilon"),
        ({"epsilon": 0.0}, "epsilon is 0.0; expected above 0"),
        ({"settings": {"stepps": 3}}, "settings of attack DDNAttack: .*; it takes: init_epsilon, steps, gamma"),
        ({"settings": "many"}, "parameter settings of method foolbox"),
    ],
)
def test_what_is_no_attack_is_refused(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        METHODS.load("foolbox").create(parameters)


@needs_foolbox
def test_an_attack_that_knows_no_target_is_refused() -> None:
    method = ready("foolbox", attack="FGSM", epsilon=0.1)
    with pytest.raises(InvalidParameter, match="attack FGSM cannot be aimed at a class; choose another"):
        method.explain(pair(0.1, 0.2), ONE)


def test_without_the_package_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "foolbox", None)
    with pytest.raises(
        MissingResource, match=r"foolbox is not installed; run: pip install 'cfbench-vision\[foolbox\]'"
    ):
        METHODS.load("foolbox")()
