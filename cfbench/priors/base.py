"""What every image prior is: one set of weights an image, and images that can leave the batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn


class Prior(nn.Module, ABC):
    """B images, each made by weights of its own; optimise ``parameters()``.

    Every parameter, and every buffer, has the images as its first dimension, and no operation mixes images, so that an
    image is the one it would be alone and can leave the batch. A single image is made twice: kernels for one round
    differently, and Adam's first steps, which have the same length however small a gradient is, would amplify that
    until the image alone is another than the image in a batch.

    Attributes:
        batch: number of images.
    """

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch

    @abstractmethod
    def forward(self) -> Tensor:
        """The present images ``[B, C, H, W]`` in [0, 1]."""

    @abstractmethod
    def layers(self) -> Sequence[nn.Module]:
        """The parts that make the image, from the first to the last, for schedules that free them one by one."""

    def keep(self, index: Tensor) -> None:
        """Go on with the images of ``index`` [b] alone."""
        self.batch = len(index)
        index = index if self.batch > 1 else index.repeat(2)
        for module in self.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                kept = nn.Parameter(parameter.detach()[index], requires_grad=parameter.requires_grad)
                setattr(module, name, kept)
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, buffer[index])
