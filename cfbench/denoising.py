"""The reverse process of a diffusion model on few of its steps, for methods that guide it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.networks import Diffusion
from cfbench.networks.diffusion import STEPS


class Chain:
    """The lowest ``depth`` of ``count`` steps that divide a diffusion model's forward process evenly.

    Level k is x at the k-th of these steps, 1 to ``depth``; level 0 is x_0, in the space of the model's codec. A step
    down is one of DDPM with the variances of the spaced process (Nichol and Dhariwal, arXiv 2102.09672, section 4).

    Attributes:
        depth: number of levels. steps: the model's step of levels 1 to ``depth``.

    Raises:
        InvalidParameter: not 1 <= depth <= count <= 1000.
    """

    def __init__(self, model: Diffusion, *, count: int, depth: int) -> None:
        if not 1 <= depth <= count <= STEPS:
            raise InvalidParameter(
                f"a chain of depth {depth} of {count} steps; expected 1 <= depth <= steps <= {STEPS}"
            )
        self.model, self.depth = model, depth
        self.steps = [round(level * STEPS / count) - 1 for level in range(1, depth + 1)]
        self._kept: list[float] = [1.0, *model.cumulative[self.steps].cpu().double().tolist()]

    def signal(self, level: int) -> float:
        """sqrt(a_k), what is left of x_0 at ``level``."""
        return math.sqrt(self._kept[level])

    def noised(self, values: Tensor, noise: Tensor, level: int) -> Tensor:
        """x of x_0 ``[B, c, s, s]`` at ``level``, for standard normal ``noise``."""
        return self.signal(level) * values + math.sqrt(1 - self._kept[level]) * noise

    def clean(self, noised: Tensor, level: int, weights: Tensor | None = None, *, guidance: float = 1.0) -> Tensor:
        """The model's estimate of x_0 from x at ``level``, within the codec's bound.

        Args:
            weights: of the classes or attributes, ``[B, classes]``; zeros, or None, are no condition.
            guidance: their weight.
        """
        steps = torch.full((len(noised),), self.steps[level - 1], device=noised.device)
        if weights is None:
            weights = noised.new_zeros(len(noised), self.model.classes)
        velocity = self.model(noised, steps, weights, guidance=guidance)
        bound = self.model.codec.bound
        return self.model.clean(noised, velocity, steps).clamp(-bound, bound)

    def slopes(
        self, noised: Tensor, level: int, terms: Sequence[Callable[[Tensor], Tensor]]
    ) -> tuple[Tensor, list[Tensor]]:
        """The estimate of x_0 under no condition and gradients of terms of its images with respect to x at ``level``.

        Args:
            terms: each gives figures ``[B]``, one an image, of images ``[B, C, H, W]``.
        """
        with torch.enable_grad():
            start = noised.detach().requires_grad_()
            clean = self.clean(start, level)
            images = self.model.codec.decode(clean)
            figures = [term(images).sum() for term in terms]
            slopes = [torch.autograd.grad(figure, start, retain_graph=True)[0] for figure in figures]
        return clean.detach(), slopes

    def mean(self, noised: Tensor, clean: Tensor, level: int) -> Tensor:
        """Mean of x one level below, given x at ``level`` and x_0 (Ho et al., arXiv 2006.11239, equation 7)."""
        above, below = self._kept[level], self._kept[level - 1]
        share = above / below
        return (math.sqrt(below) * (1 - share) * clean + math.sqrt(share) * (1 - below) * noised) / (1 - above)

    def variance(self, level: int) -> float:
        """Variance of x one level below, given x at ``level`` and x_0 (equation 7 there); 0 at level 1."""
        above, below = self._kept[level], self._kept[level - 1]
        return (1 - above / below) * (1 - below) / (1 - above)

    def step(self, noised: Tensor, clean: Tensor, level: int, noise: Tensor) -> Tensor:
        """x one level below, given x at ``level``, x_0 and standard normal ``noise``, which level 1 has none of."""
        return self.mean(noised, clean, level) + math.sqrt(self.variance(level)) * noise

    def straight(self, noised: Tensor, clean: Tensor, level: int) -> Tensor:
        """x one level below, given x at ``level`` and x_0, without further noise (arXiv 2010.02502, eta = 0)."""
        left = (noised - self.signal(level) * clean) / math.sqrt(1 - self._kept[level])
        return self.noised(clean, left, level - 1)

    def denoise(
        self,
        noised: Tensor,
        level: int,
        weights: Tensor | None = None,
        *,
        noise: Callable[[], Tensor] | None = None,
        guidance: float = 1.0,
    ) -> Tensor:
        """x_0 by ``level`` steps down from x at ``level``, as an autograd function of it.

        Args:
            noise: draws the standard normal noise ``[B, c, s, s]`` of a step; None takes the steps of DDIM, which has
                none (arXiv 2010.02502, eta = 0). weights, guidance: as of :meth:`clean`.
        """
        for present in range(level, 0, -1):
            clean = self.clean(noised, present, weights, guidance=guidance)
            if noise is not None:
                noised = clean if present == 1 else self.step(noised, clean, present, noise())
            else:
                noised = self.straight(noised, clean, present)
        return noised
