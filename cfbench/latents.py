"""Latent inversion: which latents make about these images?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def invert(generate: Callable[[Tensor], Tensor], latents: Tensor, images: Tensor, *, steps: int, rate: float) -> Tensor:
    """Bring latents nearer to those from which a generator makes given images, by mean squared error of pixels.

    Args:
        generate: gives images ``[B, C, H, W]`` of latents ``[B, ...]``, differentiable, each of its own latent.
        latents: where to start, such as what an encoder gives. images: ``[B, C, H, W]`` in [0, 1].
        steps: of Adam; with 0 the latents stay. rate: Adam's learning rate.

    Returns:
        Latents of the same shape, detached.
    """
    moving = latents.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([moving], lr=rate)
    for _ in range(steps):
        error = (generate(moving) - images).square().flatten(1).mean(1).sum()
        (moving.grad,) = torch.autograd.grad(error, moving)
        optimiser.step()
    return moving.detach()
