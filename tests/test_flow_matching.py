"""Flow matching against closed forms: between Gaussians the velocity and where it leads are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cfbench.flow_matching import Velocity, fit_velocity, land, lift

MEANS = torch.tensor([[1.5, -1.0], [-0.5, 2.0]])
SCALES = torch.tensor([[0.5], [1.5]])
"""Of two classes of Gaussian codes, ``N(mean, scale^2 I)``."""


def gaussian(times: Tensor, codes: Tensor, conditions: Tensor) -> Tensor:
    """E[z1 - z0 | z_t = z] for z0 from N(0, I) and z1 from the class's Gaussian, by regression of normal variables."""
    means, scales = conditions @ MEANS, conditions @ SCALES
    spread = (times * scales).square() + (1 - times).square()
    return means + (times * scales.square() - (1 - times)) / spread * (codes - times * means)


def one_hot(*classes: int) -> Tensor:
    return torch.eye(2)[list(classes)]


CODES = torch.tensor([[1.0, -1.0], [0.3, 2.5], [-1.2, 0.4]])
FROM, TO = one_hot(0, 1, 1), one_hot(1, 0, 1)


def test_noise_lands_on_the_gaussian_of_the_class() -> None:
    found = land(gaussian, CODES, FROM, strength=1.0, steps=100)
    assert torch.allclose(found, FROM @ MEANS + FROM @ SCALES * CODES, atol=1e-3)


def test_a_whole_leap_maps_one_gaussian_to_the_other() -> None:
    lifted = lift(gaussian, CODES, FROM, strength=1.0, steps=100)
    found = land(gaussian, lifted, TO, strength=1.0, steps=100)
    expected = TO @ MEANS + TO @ SCALES / (FROM @ SCALES) * (CODES - FROM @ MEANS)
    assert torch.allclose(found, expected, atol=1e-2)
    assert torch.allclose(found[2], CODES[2], atol=1e-4), "under the same class a leap ends where it began"


@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_the_strength_multiplies_the_velocity(strength: float) -> None:
    """``dz = strength * a * z dt`` leads to an exponential; a midpoint step is its Taylor series to the square."""
    growth = 0.7 * strength

    def field(times: Tensor, codes: Tensor, conditions: Tensor) -> Tensor:
        return 0.7 * codes

    for steps in (1, 3):
        landed = land(field, CODES, FROM, strength=strength, steps=steps)
        lifted = lift(field, CODES, FROM, strength=strength, steps=steps)
        step = growth / steps
        assert torch.allclose(landed, CODES * (1 + step + step**2 / 2) ** steps, rtol=1e-5)
        assert torch.allclose(lifted, CODES * (1 - step + step**2 / 2) ** steps, rtol=1e-5)
    landed = land(field, CODES, FROM, strength=strength, steps=100)
    assert torch.allclose(landed, CODES * math.exp(growth), rtol=1e-4)


def test_times_run_from_one_to_nought_and_back() -> None:
    """Under the velocity t the way is 1/2, whatever the number of steps; the midpoint rule is exact for it."""

    def field(times: Tensor, codes: Tensor, conditions: Tensor) -> Tensor:
        return times.expand_as(codes)

    assert torch.allclose(land(field, CODES, FROM, strength=1.0, steps=3), CODES + 0.5, atol=1e-6)
    assert torch.allclose(lift(field, CODES, FROM, strength=1.0, steps=3), CODES - 0.5, atol=1e-6)


def test_the_fitted_velocity_is_the_one_of_the_gaussians() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        velocity = Velocity(codes=2, conditions=2, width=64)
        classes = torch.arange(4000) % 2
        conditions = torch.eye(2)[classes]
        deviations = 0.6 * SCALES[classes].expand(-1, 2)
        codes = MEANS[classes] + 0.8 * SCALES[classes] * torch.randn(4000, 2)
        fit_velocity(velocity, codes, deviations, conditions, steps=1500, batch=256, rate=5e-3)
        times = torch.rand(2000, 1)
        classes = torch.arange(2000) % 2
        ends = MEANS[classes] + SCALES[classes] * torch.randn(2000, 2)
        between = (1 - times) * torch.randn(2000, 2) + times * ends
    with torch.no_grad():
        expected = gaussian(times, between, torch.eye(2)[classes])
        error = (velocity(times, between, torch.eye(2)[classes]) - expected).square().mean()
        returned = lift(velocity, CODES, FROM, strength=1.0, steps=50)
        returned = land(velocity, returned, FROM, strength=1.0, steps=50)
    assert float(error) < 0.02 * float(expected.square().mean())
    assert torch.allclose(returned, CODES, atol=1e-2)
