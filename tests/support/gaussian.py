"""The exact denoiser of images whose distribution is known."""

from __future__ import annotations

from torch import Tensor

from cfbench.networks import Diffusion

SPREAD = 0.3
"""Standard deviation of x_0."""


class GaussianDiffusion(Diffusion):
    """The exact denoiser of x_0 ~ N(sum_k w_k mean_k, SPREAD^2 I) under weights w; the ``means`` are 0 at first."""

    means: Tensor | None = None

    def _predict(self, noised: Tensor, steps: Tensor, weights: Tensor) -> Tensor:
        signal, spread = self._weights(steps)
        mean = 0 if self.means is None else (weights @ self.means.flatten(1)).view(-1, *self.shape)
        clean = mean + signal * SPREAD**2 / (signal**2 * SPREAD**2 + spread**2) * (noised - signal * mean)
        return (signal * noised - clean) / spread
