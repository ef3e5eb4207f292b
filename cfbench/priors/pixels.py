"""No prior but the pixels themselves."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cfbench.priors.base import Prior


class Pixels(Prior):
    """Images whose pixels are the weights; gradients pass where a value is cut to [0, 1].

    Args:
        images: where they start, ``[B, C, H, W]`` in [0, 1].
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__(len(images))
        self.values = nn.Parameter(images.clone())

    def forward(self) -> Tensor:
        beyond = (self.values.clamp(0, 1) - self.values).detach()
        return (self.values + beyond)[: self.batch]

    def layers(self) -> Sequence[nn.Module]:
        return [self]
