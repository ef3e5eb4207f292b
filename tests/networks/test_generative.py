"""Generative networks: shapes, ranges, and their equations against closed forms and other libraries."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from cfbench.errors import InvalidParameter
from cfbench.networks import GAN, VAE, Diffusion
from cfbench.networks.codecs import Compressor, PixelBlocks
from cfbench.networks.vae import calibrated_nll, divergence

SIZES = [(1, 28), (3, 32)]
LABELS = torch.tensor([0, 1, 2, 0, 1])


def images(channels: int, side: int) -> torch.Tensor:
    return torch.rand(len(LABELS), channels, side, side, generator=torch.Generator().manual_seed(1))


def diffusion(channels: int = 1, side: int = 28) -> Diffusion:
    torch.manual_seed(0)
    return Diffusion.of_pixels(channels=channels, side=side, classes=3, widths=(8,), patch=4).eval()


@pytest.mark.parametrize(("channels", "side"), SIZES)
def test_vae_codes_and_images_have_their_shapes_and_ranges(channels: int, side: int) -> None:
    network = VAE(channels=channels, side=side, latent=5, widths=(8, 16), hidden=10)
    pictures = images(channels, side)
    mean, logvar = network.encode(pictures)
    assert mean.shape == logvar.shape == (5, 5)
    for decoded in (network.decode(10 * torch.randn(5, 5)), network(pictures)):
        assert decoded.shape == pictures.shape
        assert 0 <= decoded.min() <= decoded.max() <= 1


def test_divergence_is_that_of_torch_distributions() -> None:
    mean, logvar = torch.randn(2, 20, 7, generator=torch.Generator().manual_seed(0)).double()
    expected = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(divergence(mean, logvar), expected)


def test_calibrated_likelihood_is_the_gaussians_at_its_best_deviation() -> None:
    truth, guess = torch.rand(2, 6, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double()

    def nll(deviation: float) -> float:
        return -float(Normal(guess, deviation).log_prob(truth).flatten(1).sum(1).mean())

    best = math.sqrt(float((truth - guess).square().mean()))
    assert float(calibrated_nll(truth, guess)) == pytest.approx(nll(best), rel=1e-9)
    assert nll(best) < min(nll(best * 1.05), nll(best / 1.05))


@pytest.mark.parametrize(("channels", "side"), SIZES)
def test_gan_generates_and_encodes(channels: int, side: int) -> None:
    network = GAN(channels=channels, side=side, classes=3, latent=6, widths=(8, 16), hidden=10)
    pictures = images(channels, side)
    latents = network.encode(pictures, LABELS)
    assert latents.shape == (5, 6)
    generated = network.generator(latents, LABELS)
    assert generated.shape == pictures.shape
    assert 0 <= generated.min() <= generated.max() <= 1
    torch.testing.assert_close(network.reconstruct(pictures, LABELS), generated)
    weights = nn.functional.one_hot(LABELS, 3).float()
    torch.testing.assert_close(network.generator(latents, weights), generated)
    assert not torch.equal(network.generator(latents, (LABELS + 1) % 3), generated)
    assert network.discriminator()(pictures, LABELS).shape == (5,)


def test_samples_follow_from_the_generator_alone() -> None:
    gan = GAN(channels=1, side=28, classes=3, latent=6, widths=(8, 16), hidden=10)

    def drawn(network: GAN | Diffusion, seed: int) -> torch.Tensor:
        with torch.inference_mode():
            return network.sample(LABELS, generator=torch.Generator().manual_seed(seed))

    for network in (gan, diffusion()):
        first = drawn(network, 0)
        torch.rand(3)
        assert torch.equal(drawn(network, 0), first)
        assert not torch.equal(drawn(network, 1), first)
        assert first.shape == (5, 1, 28, 28)
        assert 0 <= first.min() <= first.max() <= 1


def test_noising_is_the_closed_form_of_the_cosine_schedule() -> None:
    """a_t is f(t) / f(0), f(t) = cos^2((t / T + s) / (1 + s) pi / 2), where no step's variance is clipped at .999."""
    network = diffusion()
    steps = torch.tensor([0, 10, 250, 500, 900])
    signal = network.codec.encode(images(1, 28))
    noise = torch.randn(signal.shape)

    def f(t: torch.Tensor) -> torch.Tensor:
        return torch.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2

    kept = (f(steps.double() + 1) / f(torch.zeros(1).double())).float().view(5, 1, 1, 1)
    noised = network.noised(signal, noise, steps)
    torch.testing.assert_close(noised, kept.sqrt() * signal + (1 - kept).sqrt() * noise, atol=1e-4, rtol=0)
    velocity = network.velocity(signal, noise, steps)
    torch.testing.assert_close(velocity, kept.sqrt() * noise - (1 - kept).sqrt() * signal, atol=1e-4, rtol=0)
    torch.testing.assert_close(network.clean(noised, velocity, steps), signal, atol=1e-4, rtol=0)
    torch.testing.assert_close(network.noise(noised, velocity, steps), noise, atol=1e-4, rtol=0)


def test_guidance_extrapolates_from_no_class_to_the_class() -> None:
    network = diffusion()
    noised, steps = torch.randn(5, *network.shape), torch.full((5,), 400)
    with torch.inference_mode():
        given = network(noised, steps, LABELS)
        free = network(noised, steps, torch.zeros(5, 3))
        guided = [network(noised, steps, LABELS, guidance=weight) for weight in (0.0, 2.5)]
    assert not torch.equal(given, free)
    torch.testing.assert_close(guided[0], free, atol=1e-5, rtol=0)
    torch.testing.assert_close(guided[1], free + 2.5 * (given - free), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("channels", "side"), SIZES)
def test_encoding_leads_back_to_the_image(channels: int, side: int) -> None:
    """Of a smooth field of velocities, here the zero one, DDIM run backwards and forwards is the identity."""
    network = diffusion(channels, side)
    nn.init.zeros_(network.unet.conv_out.weight)
    nn.init.zeros_(network.unet.conv_out.bias)
    pictures = images(channels, side)
    with torch.inference_mode():
        latents = network.encode(pictures, LABELS, steps=50)
        decoded = network.decode(latents, LABELS, steps=50)
    assert latents.shape == (5, 16 * channels, side // 4, side // 4)
    torch.testing.assert_close(decoded, pictures, atol=0.05, rtol=0)


def test_blocks_of_pixels_are_the_image_and_latents_are_standardised() -> None:
    pictures = images(3, 32)
    blocks = PixelBlocks(channels=3, patch=2)
    values = blocks.encode(pictures)
    assert values.shape == (5, 12, 16, 16)
    assert values.abs().max() <= blocks.bound
    torch.testing.assert_close(values[:, 0], pictures[:, 0, ::2, ::2] * 2 - 1)
    torch.testing.assert_close(blocks.decode(values), pictures)

    compressor = Compressor(channels=3, latents=4, width=8)
    before = compressor.decode(compressor.encode(pictures))
    compressor.standardise(pictures)
    latents = compressor.encode(pictures)
    assert latents.shape == (5, 4, 8, 8)
    torch.testing.assert_close(latents.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std(dim=(0, 2, 3)), torch.ones(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(compressor.decode(latents), before, atol=1e-5, rtol=0)


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_numbers_of_steps_are_refused(steps: int) -> None:
    network = diffusion()
    with pytest.raises(InvalidParameter, match=f"sampling takes 1 to 1000 steps, got {steps}"):
        network.sample(LABELS, generator=torch.Generator(), steps=steps)
    with pytest.raises(InvalidParameter, match=f"got {steps}"):
        network.encode(images(1, 28), LABELS, steps=steps)
