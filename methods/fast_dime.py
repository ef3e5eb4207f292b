"""FastDiME: DiME with one-step clean estimates and a mask that follows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.inpainting import blocks, changed
from cfbench.methods.dime import DiME, Start
from cfbench.needs import Needs


class FastDiME(DiME):
    """``dime`` with the model's estimate in one step in place of the nested denoising, and a mask (arXiv 2312.14223).

    Gradients are taken at the estimate of the clean image that the step has made anyway, so that a scale costs
    ``depth`` passes of the model (the first is shared by all scales). In the lower levels only what lies inside a mask
    moves: the largest differences between that estimate and the query, dilated. Outside it the estimate is the query,
    and z_k the query with the noise of level k.

    Our reading, besides those of ``dime``: the first gradient is taken at the query, as in ``dime``; a mask in the
    space of the model has every block of pixels in which one is inside.

    Args:
        warmup: share of the levels that are gone down before there is a mask, in [0, 1].
        threshold: share of the largest difference from which on a pixel is inside the mask, in [0, 1]; 0 is all pixels.
        dilation: side of the square around such a pixel that is inside too, odd.
        parameters: those of ``dime``.
    """

    name = "fast-dime"
    citation = (
        "Weng, Pegios, Petersen, Feragen, Bigdeli: Fast diffusion-based counterfactuals for shortcut removal and "
        "generation, ECCV 2024, arXiv 2312.14223"
    )
    needs = Needs(gradients=True, networks=("diffusion",))

    def __init__(
        self,
        *,
        warmup: float = 0.5,
        threshold: float = 0.15,
        dilation: int = 5,
        scales: tuple[float, ...] = (2.0, 4.0, 8.0, 12.0),
        proximity: float = 0.3,
        perception: float = 0.0,
        pull: Literal["probability", "odds"] = "odds",
        steps: int = 30,
        depth: int = 15,
        confidence: float = 0.999,
    ) -> None:
        if not 0 <= warmup <= 1 or not 0 <= threshold <= 1 or dilation < 1 or dilation % 2 == 0:
            raise InvalidParameter(
                f"warmup is {warmup}, threshold {threshold}, dilation {dilation}; expected 0 <= warmup <= 1, "
                "0 <= threshold <= 1, dilation odd and above 0"
            )
        super().__init__(
            scales=scales,
            proximity=proximity,
            perception=perception,
            pull=pull,
            steps=steps,
            depth=depth,
            confidence=confidence,
        )
        self.warmup = warmup
        self.threshold = threshold
        self.dilation = dilation

    def _descend(self, start: Start, scale: float, draw: Callable[[], Tensor]) -> Tensor:
        chain, codec = self._chain, self._model.codec
        noised = self._step(start, start.noised, start.clean, start.values, chain.depth, scale, draw)
        for level in range(chain.depth - 1, 1, -1):
            clean = chain.clean(noised, level)
            inside = blocks(self._mask(start, clean, level), codec.scale)
            seen = torch.where(inside, clean, start.values)
            pulled = self._step(start, noised, clean, seen, level, scale, draw)
            noised = torch.where(inside, pulled, chain.noised(start.values, draw(), level - 1))
        clean = chain.clean(noised, 1)
        return torch.where(self._mask(start, clean, 1), codec.decode(clean).clamp(0, 1), start.images)

    def _mask(self, start: Start, clean: Tensor, level: int) -> Tensor:
        """Where images may differ from the queries at ``level``, ``[B, 1, H, W]``."""
        if level > (1 - self.warmup) * self.depth:
            return torch.ones_like(start.images[:, :1], dtype=torch.bool)
        made = self._model.codec.decode(clean)
        return changed(made, start.images, threshold=self.threshold, dilation=self.dilation)
