"""Chains of few steps against diffusers' schedulers and a Gaussian whose denoiser is known."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from known_diffusion import SPREAD, GaussianDiffusion
from torch import Tensor

from cfbench.denoising import Chain
from cfbench.errors import InvalidParameter
from cfbench.networks import Diffusion


def small() -> Diffusion:
    torch.manual_seed(3)
    return Diffusion.of_pixels(channels=1, side=8, classes=3, widths=(8, 8)).eval()


def test_a_step_is_that_of_a_spaced_ddpm() -> None:
    chain = Chain(small(), count=50, depth=20)
    scheduler = DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=False, timestep_spacing="trailing"
    )
    scheduler.set_timesteps(50)
    random = torch.Generator().manual_seed(1)
    noised, clean = torch.randn(2, 3, 4, 4, 4, generator=random)
    for level in (1, 2, 20):
        step = chain.steps[level - 1]
        assert step == int(scheduler.timesteps[50 - level])
        seeded = torch.Generator().manual_seed(7)
        expected = scheduler.step(clean, step, noised, generator=seeded).prev_sample
        noise = torch.randn(noised.shape, generator=torch.Generator().manual_seed(7))
        found = chain.mean(noised, clean, level) + chain.variance(level) ** 0.5 * noise * (level > 1)
        assert torch.allclose(found, expected, atol=1e-5)


def test_without_noise_it_is_ddim() -> None:
    model = small()
    chain = Chain(model, count=25, depth=10)
    scheduler = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
    )
    scheduler.set_timesteps(25)
    random = torch.Generator().manual_seed(2)
    noised, weights = torch.randn(2, 4, 4, 4, generator=random), torch.eye(3)[:2]
    with torch.no_grad():
        found = chain.denoise(noised, 10, weights)
        expected = noised
        for level in range(10, 0, -1):
            clean = chain.clean(expected, level, weights)
            expected = scheduler.step(clean, chain.steps[level - 1], expected).prev_sample
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("noisy", [True, False])
def test_a_gaussian_comes_out_with_its_own_spread(noisy: bool) -> None:
    model = GaussianDiffusion.of_pixels(channels=1, side=8, classes=3, widths=(8, 8))
    chain = Chain(model, count=1000, depth=600)
    random = torch.Generator().manual_seed(5)
    values = SPREAD * torch.randn(400, *model.shape, generator=random)
    noised = chain.noised(values, torch.randn(values.shape, generator=random), chain.depth)

    def draw() -> Tensor:
        return torch.randn(values.shape, generator=random)

    with torch.no_grad():
        made = chain.denoise(noised, chain.depth, torch.zeros(400, 3), noise=draw if noisy else None)
    assert float(made.std()) == pytest.approx(SPREAD, rel=0.02)
    kept = float((made * values).mean() / SPREAD**2)
    assert kept < 0.9 if noisy else kept > 0.1


def test_gradients_reach_the_start() -> None:
    model = small()
    chain = Chain(model, count=20, depth=3)
    start = torch.randn(2, *model.shape).requires_grad_()
    chain.denoise(start, 3, torch.zeros(2, 3)).sum().backward()
    assert start.grad is not None
    assert start.grad.abs().flatten(1).sum(1).min() > 0


@pytest.mark.parametrize(("count", "depth"), [(10, 11), (10, 0), (1001, 5)])
def test_impossible_chains_are_refused(count: int, depth: int) -> None:
    with pytest.raises(InvalidParameter, match=r"expected 1 <= depth <= steps <= 1000"):
        Chain(small(), count=count, depth=depth)
