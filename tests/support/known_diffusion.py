"""The toy task with a diffusion model whose denoiser is known in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cfbench.networks import Diffusion
from cfbench.testing import Toy
from cfbench.testing.toy import SIDE

SPREAD = 0.3
"""Standard deviation of the known Gaussian's x_0."""


class GaussianDiffusion(Diffusion):
    """The exact denoiser of x_0 ~ N(sum_k w_k mean_k, SPREAD^2 I) under weights w; the ``means`` are 0 if not set."""

    means: Tensor | None = None

    def _predict(self, noised: Tensor, steps: Tensor, weights: Tensor) -> Tensor:
        signal, spread = self._weights(steps)
        mean = 0 if self.means is None else (weights @ self.means.flatten(1)).view(-1, *self.shape)
        clean = mean + signal * SPREAD**2 / (signal**2 * SPREAD**2 + spread**2) * (noised - signal * mean)
        return (signal * noised - clean) / spread


class GaussianToy(Toy):
    """The toy task with that model."""

    def network(self, name: str) -> nn.Module:
        if name == "diffusion":
            with torch.random.fork_rng():
                return GaussianDiffusion.of_pixels(channels=1, side=SIDE, classes=3, widths=(8, 8)).eval()
        return super().network(name)
