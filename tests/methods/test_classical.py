"""The classical baselines on problems of a few pixels whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn
from two_pixels import ONE, POOL, Linear, pair, ready

from cfbench.errors import InvalidParameter, MissingResource
from cfbench.methods.cfproto import prototypes
from cfbench.methods.svce import checks, farthest
from cfbench.methods.tv_inversion import powered_variation
from cfbench.registry import METHODS
from cfbench.shrinkage import shrink
from cfbench.task import Task
from cfbench.testing import Toy
from cfbench.view import MethodView


@pytest.mark.parametrize(
    ("sparsity", "nearest"),
    [
        (0.0, (0.1 + 0.44, 0.2 + 0.22)),  # along the slope: (margin - lead) w / |w|^2
        (5.0, (0.1 + 0.55, 0.2)),  # one pixel, the one that tells most
    ],
)
def test_cem_finds_the_nearest_pertinent_negative(sparsity: float, nearest: tuple[float, float]) -> None:
    method = ready("cem", margin=0.5, sparsity=sparsity, manifold=0.0, rounds=9, steps=100, rate=0.02)
    found = method.explain(pair(0.1, 0.2), ONE).flatten()
    assert Linear()(found.view(1, 1, 1, 2)).diff(dim=1) >= 0.5 - 1e-5
    assert found.tolist() == pytest.approx(nearest, abs=0.01)


@pytest.mark.parametrize("additive", [False, True])
def test_cem_stays_near_what_the_autoencoder_makes(additive: bool) -> None:
    """Where the target is reached anyway, ``m |x + d|^2 + |d|^2 + s |d|_1`` remains: a soft threshold."""
    image = pair(0.9, 0.6)
    method = ready("cem", margin=0.0, sparsity=0.5, manifold=0.5, additive=additive, rounds=1, steps=100, rate=0.1)
    found = method.explain(image, ONE)
    change = torch.zeros_like(image) if additive else shrink(-0.5 * image, 0.25) / 1.5
    assert (found - image - change).abs().max() < 2e-3


def test_cfproto_is_drawn_to_the_prototype() -> None:
    """The code is the image here: ``theta |x + d - p|^2 + |d|^2 + s |d|_1`` has a soft threshold as its least."""
    image, theta = pair(0.2, 0.8), 3.0
    settings = {"margin": 0.0, "sparsity": 0.4, "manifold": 0.0, "prototype": theta, "neighbours": 2}
    method = ready("cfproto", **settings, rounds=3, steps=100, rate=0.05)
    prototype = dequantised_mean([1, 3])
    found = method.explain(image, ONE)
    change = shrink(theta * (prototype - image), 0.2) / (1 + theta)
    assert Linear()(image + change).argmax(1) == ONE
    assert (found - image - change).abs().max() < 2e-3


def dequantised_mean(chosen: list[int]) -> Tensor:
    return POOL[chosen].float().mean(0, keepdim=True) / 255


def test_prototypes_are_means_of_the_nearest_of_the_class_asked_for() -> None:
    pool = torch.tensor([[0.0], [1.0], [2.0], [9.0], [0.4]])
    classes = torch.tensor([0, 0, 0, 0, 1])
    codes, targets = torch.tensor([[0.4], [8.0], [0.0], [0.0]]), torch.tensor([0, 0, 1, 2])
    found = prototypes(codes, targets, pool, classes, neighbours=2)
    assert found[:3, 0].tolist() == pytest.approx([0.5, 5.5, 0.4])
    assert found[3].isnan().all()


def test_a_target_without_training_images_fails_alone() -> None:
    method = ready("cfproto", rounds=2, steps=5)
    method._classes = torch.ones_like(method._classes)  # type: ignore[attr-defined]
    found = method.explain(pair(0.1, 0.2, 0.9, 0.9), torch.tensor([1, 0]))
    assert found[0].isfinite().all()
    assert found[1].isnan().all()


def by_scipy(slope: NDArray[np.float64], image: NDArray[np.float64], epsilon: float) -> float:
    """How far a general solver gets along ``slope``, on sizes with its sign."""
    size = np.abs(slope)
    room = np.where(slope > 0, 1 - image, image)
    found = minimize(
        lambda d: -size @ d,
        room * min(1, 0.3 * epsilon) + 1e-4,
        jac=lambda d: -size,
        bounds=[(0, most) for most in room],
        constraints=[{"type": "ineq", "fun": lambda d: epsilon**1.5 - (np.abs(d) ** 1.5).sum()}],
        options={"ftol": 1e-9, "maxiter": 500},
    )
    assert found.success
    return -float(found.fun)


@pytest.mark.parametrize("epsilon", [0.2, 0.7, 1.5, 20.0])
def test_nothing_within_the_bounds_goes_farther_along_the_gradient(epsilon: float) -> None:
    draw = torch.Generator().manual_seed(3)
    images = torch.rand(5, 1, 2, 3, generator=draw)
    gradient = torch.randn(5, 1, 2, 3, generator=draw) * torch.tensor([0.01, 0.3, 1, 5, 100])[:, None, None, None]
    found = farthest(gradient, images, epsilon)
    for change, image, slope in zip(found, images, gradient, strict=True):
        best = by_scipy(slope.flatten().double().numpy(), image.flatten().double().numpy(), epsilon)
        assert float((change * slope).sum()) == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e10])
def test_the_farthest_change_holds_ball_and_range(scale: float) -> None:
    draw = torch.Generator().manual_seed(4)
    images = torch.rand(5, 3, 8, 8, generator=draw).round(decimals=1)
    gradient = scale * torch.randn(images.shape, generator=draw)
    found = farthest(gradient, images, 2.0)
    assert (images + found).min() >= -1e-6
    assert (images + found).max() <= 1 + 1e-6
    assert found.abs().pow(1.5).flatten(1).sum(1).tolist() == pytest.approx([2.0**1.5] * 5, rel=1e-4)
    assert torch.equal(farthest(0 * gradient, images, 2.0), torch.zeros_like(images))
    everything = farthest(gradient, images, 1000.0)
    assert (images + everything - (gradient > 0).float()).abs().max() < 1e-6


@pytest.mark.parametrize(("steps", "share"), [(1, 0.75), (30, 1.0)])
def test_svce_goes_as_far_as_a_linear_classifier_rewards(steps: int, share: float) -> None:
    """With slopes (2, 1) and ``|d|_1.5 <= e`` the best d goes with their squares, (4, 1), where it has room."""
    epsilon = 0.3
    best = torch.tensor([4.0, 1.0]) * epsilon / (4**1.5 + 1) ** (2 / 3)
    cut = torch.tensor([0.05, (epsilon**1.5 - 0.05**1.5) ** (2 / 3)])
    images = pair(0.1, 0.2, 0.95, 0.2)
    found = (ready("svce", epsilon=epsilon, steps=steps).explain(images, torch.tensor([1, 1])) - images).flatten(1)
    assert found[0].tolist() == pytest.approx((share * best).tolist(), abs=1e-4)
    assert found[1].tolist() == pytest.approx((share * cut).tolist(), abs=1e-4)


def test_svce_shortens_its_steps_around_a_peak() -> None:
    """The target is most probable at a point within the ball, over which steps of three quarters of the way jump."""
    peak = pair(0.4, 0.5)

    class Peaked(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.stack([100 * (images - peak).square().flatten(1).sum(1), torch.zeros(len(images))], dim=1)

    found = ready("svce", Peaked(), epsilon=0.6, steps=100).explain(pair(0.3, 0.3), ONE)
    assert (found - peak).abs().max() < 0.01


def test_svce_checks_its_progress_when_auto_pgd_does() -> None:
    assert checks(100) == [22, 41, 57, 70, 80, 87, 93, 99]  # arXiv 2003.01690, section 3.2
    assert checks(1) == [1] * 8


def test_svce_stays_where_nothing_is_left_to_gain() -> None:
    """Once the target is certain to the last bit there is no gradient: the image does not fall back to the query."""

    class Certain(Linear):
        def forward(self, images: Tensor) -> Tensor:
            return 1000 * super().forward(images)

    image = pair(0.1, 0.2)
    first, last = (ready("svce", Certain(), epsilon=1.0, steps=steps).explain(image, ONE) for steps in (1, 20))
    assert torch.equal(first, last)
    assert Certain()(last).argmax(1) == ONE


class Blind:
    """A classifier that sees the pixels and says nothing of them."""

    def outputs(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        return [images], torch.zeros(len(images), 2)


@pytest.mark.parametrize(("smooth", "bounded"), [(0.0, 0.0), (0.5, 0.0), (0.0, 2.0), (0.5, 1.0)])
def test_tv_inversion_shrinks_the_contrast_of_two_pixels(smooth: float, bounded: float) -> None:
    """Of half ``|x' - x|^2 + s (x'_1 - x'_2)^2 + b |x' - mean|^2`` the least has contrast ``c / (1 + 2 s + b)``."""
    image = pair(0.8, 0.4)
    method = ready("tv-inversion", smooth=smooth, bounded=bounded, alpha=2.0, steps=300, rate=0.005)
    method.task.classifier = Blind()  # type: ignore[assignment]
    found = method.explain(image, ONE)
    assert float(found.mean()) == pytest.approx(0.6, abs=1e-3)
    assert float(-found.diff(dim=3)) == pytest.approx(0.4 / (1 + 2 * smooth + bounded), abs=2e-3)


def test_the_variation_takes_both_directions_to_a_power() -> None:
    image = torch.tensor([[0.0, 0.3], [0.4, 0.4]])[None, None]
    squares = torch.tensor([0.25, 0.01, 0.0, 0.0])
    for beta in (1.0, 2.0, 3.0):
        assert float(powered_variation(image, beta)) == pytest.approx(float(squares.pow(beta / 2).mean()), abs=1e-6)
    still = torch.full((1, 1, 3, 3), 0.5, requires_grad=True)
    powered_variation(still, 1.0).sum().backward()
    assert still.grad is not None
    assert still.grad.isfinite().all()


@pytest.mark.parametrize("name", ["cem", "cfproto", "svce"])
def test_a_query_that_diverges_fails_alone(name: str) -> None:
    class Poisoned(Linear):
        def forward(self, images: Tensor) -> Tensor:
            wrong = torch.zeros(len(images), 1)
            wrong[1:2] = torch.nan
            return super().forward(images) + (wrong if len(images) == 3 else 0)

    images, targets = pair(0.1, 0.2, 0.2, 0.2, 0.1, 0.2), torch.tensor([1, 1, 1])
    found = ready(name, Poisoned(), **METHODS.load(name).quick).explain(images, targets)
    assert found.isfinite().flatten(1).all(1).tolist() == [True, False, True]
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("cem", {"margin": -1.0}, "margin is -1.0"),
        ("cem", {"manifold": -0.1}, "manifold -0.1"),
        ("cem", {"weight": 0.0}, "others above 0"),
        ("cem", {"additive": "perhaps"}, "parameter additive of method cem"),
        ("cfproto", {"neighbours": 0}, "neighbours 0"),
        ("cfproto", {"prototype": -2.0}, "prototype is -2.0"),
        ("cfproto", {"steps": 0}, "steps 0"),
        ("svce", {"epsilon": 0.0}, "epsilon is 0.0"),
        ("svce", {"steps": 0}, "steps 0; expected epsilon > 0 and steps >= 1"),
        ("tv-inversion", {"beta": 0.5}, "beta 0.5"),
        ("tv-inversion", {"confidence": 1.0}, "0 < confidence < 1"),
        ("tv-inversion", {"rate": 0.0}, "rate 0.0"),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        METHODS.load(name).create(parameters)


class Ungenerated(Toy):
    """The toy task without its VAE."""

    networks = {name: spec for name, spec in Toy.networks.items() if name != "vae"}


@pytest.mark.parametrize("name", ["cem", "cfproto"])
def test_a_task_without_a_vae_says_so(name: str, toy_folder: Path) -> None:
    method = METHODS.load(name)()
    with pytest.raises(MissingResource, match="defines 0 networks of role 'vae', expected one; choose another task"):
        method.setup(MethodView(Task(Ungenerated(toy_folder)), method.needs))
