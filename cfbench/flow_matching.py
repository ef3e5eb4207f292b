"""Conditional flow matching between Gaussian noise and codes of images (Tong et al., arXiv 2302.00482)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Field = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Velocities ``[B, K]`` at times ``[B, 1]`` in [0, 1] of codes ``[B, K]`` under conditions ``[B, C]``."""


class Velocity(nn.Module):
    """A perceptron with three hidden layers as the velocity.

    Args:
        codes, conditions: their lengths. width: units of a hidden layer.
    """

    def __init__(self, *, codes: int, conditions: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(codes + 1 + conditions, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, codes),
        )

    def forward(self, times: Tensor, codes: Tensor, conditions: Tensor) -> Tensor:
        out: Tensor = self.layers(torch.cat([codes, times, conditions], dim=1))
        return out


def fit_velocity(
    velocity: nn.Module, codes: Tensor, deviations: Tensor, conditions: Tensor, *, steps: int, batch: int, rate: float
) -> None:
    """Minimise ``|v(t, (1 - t) z0 + t z1, c) - (z1 - z0)|^2`` over the weights of v (I-CFM with sigma = 0).

    z0 is standard normal noise, t uniform in [0, 1], z1 normal about one of the codes; all random numbers are from
    torch's global generator. The rate of Adam goes through one cycle.

    Args:
        codes, deviations: means and standard deviations of z1, ``[N, K]``. conditions: c, ``[N, C]``.
        steps: of Adam, at least 1. batch: codes a step, drawn with replacement.
    """
    optimiser = torch.optim.Adam(velocity.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=steps)
    for _ in range(steps):
        index = torch.randint(len(codes), (batch,))
        noise, spread = torch.randn(2, batch, codes.shape[1]).to(codes.device)
        times = torch.rand(batch, 1).to(codes.device)
        ends = codes[index] + deviations[index] * spread
        error = velocity(times, (1 - times) * noise + times * ends, conditions[index]) - (ends - noise)
        optimiser.zero_grad()
        error.square().mean().backward()
        optimiser.step()
        schedule.step()


def lift(velocity: Field, codes: Tensor, conditions: Tensor, *, strength: float, steps: int) -> Tensor:
    """Where codes come from: ``dz = strength * v(t, z, c) dt`` from t = 1 back to 0, by the midpoint rule."""
    return _transport(velocity, codes, conditions, 1.0, -1 / steps, strength, steps)


def land(velocity: Field, codes: Tensor, conditions: Tensor, *, strength: float, steps: int) -> Tensor:
    """Where codes go to: ``dz = strength * v(t, z, c) dt`` from t = 0 to 1, by the midpoint rule."""
    return _transport(velocity, codes, conditions, 0.0, 1 / steps, strength, steps)


def _transport(
    velocity: Field, codes: Tensor, conditions: Tensor, start: float, step: float, strength: float, steps: int
) -> Tensor:
    for number in range(steps):
        times = codes.new_full((len(codes), 1), start + number * step)
        half = codes + strength * step / 2 * velocity(times, codes, conditions)
        codes = codes + strength * step * velocity(times + step / 2, half, conditions)
    return codes
