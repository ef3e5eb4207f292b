"""Latent inversion against least squares."""

from __future__ import annotations

import torch
from torch import Tensor

from cfbench.latents import invert


def test_a_linear_generator_is_inverted_as_by_least_squares() -> None:
    random = torch.Generator().manual_seed(4)
    basis = torch.randn(12, 3, generator=random)
    images = torch.rand(5, 1, 3, 4, generator=random)

    def generate(latents: Tensor) -> Tensor:
        return (latents @ basis.T).view(-1, 1, 3, 4)

    expected = torch.linalg.lstsq(basis, images.flatten(1).T).solution.T
    found = invert(generate, torch.zeros(5, 3), images, steps=2000, rate=0.01)
    assert torch.allclose(found, expected, atol=1e-3)
    assert not found.requires_grad


def test_no_steps_leave_the_latents() -> None:
    start = torch.ones(2, 3, requires_grad=True)
    found = invert(lambda latents: latents.view(2, 1, 1, 3), start, torch.zeros(2, 1, 1, 3), steps=0, rate=0.1)
    assert torch.equal(found, start.detach())
