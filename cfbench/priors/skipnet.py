"""The deep image prior: an untrained hourglass network per image, all images of a batch in one pass.

Layers of B networks are stored side by side, as grouped convolutions over ``[1, B * channels, H, W]``. That is what
``torch.func.vmap`` over stacked weights computes, without the copies it makes around every layer; a test holds the
two against each other. Normalising a single image per channel (batch norm at batch size 1, as in the original) is
group norm with a channel a group, whose kernels are the faster ones for a batch of one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.errors import InvalidParameter
from cfbench.priors.base import Prior
from cfbench.seeds import QueryRandom


class StackedConv(nn.Module):
    """B independent convolutions ``inputs -> outputs``: one grouped convolution, or one batched product for 1x1.

    Weights ``[B, outputs, inputs, k, k]`` are drawn from each query's own stream, uniform in +-1 / sqrt(fan in),
    PyTorch's default.
    """

    def __init__(
        self, random: QueryRandom, inputs: int, outputs: int, kernel: int, *, stride: int = 1, bias: bool = False
    ) -> None:
        super().__init__()
        self.stride = stride
        bound = 1 / math.sqrt(inputs * kernel * kernel)
        self.weight = nn.Parameter(random.uniform(outputs, inputs, kernel, kernel, low=-bound, high=bound))
        self.bias = nn.Parameter(random.uniform(outputs, 1, low=-bound, high=bound)) if bias else None

    def forward(self, features: Tensor) -> Tensor:
        """``[1, B * inputs, H, W]`` to ``[1, B * outputs, H / stride, W / stride]``."""
        batch, _, inputs, kernel, _ = self.weight.shape
        if kernel == 1:
            pixels = features.view(batch, inputs, -1)
            mixed = self.weight.flatten(2) @ pixels
            if self.bias is not None:
                mixed = mixed + self.bias
            return mixed.view(1, -1, *features.shape[2:])
        weight = self.weight.flatten(0, 1)
        return F.conv2d(features, weight, stride=self.stride, padding=kernel // 2, groups=batch)


class StackedNorm(nn.Module):
    """Normalise every channel of every image over space, scale and shift it, LeakyReLU."""

    def __init__(self, batch: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(batch, channels))
        self.bias = nn.Parameter(torch.zeros(batch, channels))

    def forward(self, features: Tensor) -> Tensor:
        normal = F.group_norm(features, self.weight.numel(), self.weight.flatten(), self.bias.flatten())
        return F.leaky_relu_(normal, 0.2)


class _Level(nn.Module):
    """One scale of the hourglass: way down, inner levels, way up with the skip branch added."""

    def __init__(self, random: QueryRandom, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        batch, width = len(random), widths[0]
        self.down = nn.Sequential(
            StackedConv(random, inputs, width, 3, stride=2),
            StackedNorm(batch, width),
            StackedConv(random, width, width, 3),
            StackedNorm(batch, width),
        )
        self.inner = _Level(random, width, widths[1:]) if len(widths) > 1 else None
        self.skip = StackedConv(random, inputs, width, 1)
        self.raised = StackedConv(random, widths[min(1, len(widths) - 1)], width, 1)
        self.up = nn.Sequential(
            StackedNorm(batch, width), StackedConv(random, width, width, 3), StackedNorm(batch, width)
        )

    def forward(self, features: Tensor) -> Tensor:
        deep = self.down(features)
        if self.inner is not None:
            deep = self.inner(deep)
        skipped, low = self.skip(features), self.raised(deep)
        an_image_each = low.view(*self.raised.weight.shape[:2], *low.shape[2:])
        raised = F.interpolate(an_image_each, size=features.shape[2:], mode="nearest").view_as(skipped)
        out: Tensor = self.up(raised + skipped)
        return out


class SkipNet(Prior):
    """B hourglass networks with skip connections, one an image (deep image prior, arXiv 1711.10925).

    Calling it gives the images ``[B, C, H, W]`` in [0, 1] of the present weights; optimise ``parameters()``, all of
    which have the image as their first dimension. Every network's weights and its fixed input noise come from its
    query's own random stream, and no operation mixes images, so each result is the one it would have alone.

    Our reading: skip branches are added after 1x1 convolutions instead of concatenated (a 1x1 convolution of a
    concatenation is such a sum), which halves the multiplications.

    Args:
        random: one stream an image.
        image_shape: (C, H, W), sides of more than ``2 ** len(widths)`` pixels.
        widths: channels of each scale, from fine to coarse.
        noise: channels of the fixed input, uniform in [0, 0.1).

    Raises:
        InvalidParameter: the image is too small for that many scales.
    """

    def __init__(
        self,
        random: QueryRandom,
        image_shape: tuple[int, int, int],
        *,
        widths: Sequence[int] = (16, 16, 32),
        noise: int = 16,
    ) -> None:
        super().__init__(len(random))
        channels, height, width = image_shape
        if not widths or min(height, width) <= 2 ** len(widths):
            raise InvalidParameter(
                f"widths {list(widths)} mean {len(widths)} scales, which need images of more than "
                f"{2 ** len(widths)} pixels, got {height} x {width}; give at least one and at most "
                f"{(min(height, width) - 1).bit_length() - 1} widths"
            )
        random = random.at_least_two()
        self.code: Tensor
        self.register_buffer("code", random.uniform(noise, height, width, high=0.1))
        self.body = _Level(random, noise, widths)
        self.head = StackedConv(random, widths[0], channels, 1, bias=True)

    def forward(self) -> Tensor:
        """The present images ``[B, C, H, W]`` in [0, 1]."""
        images: Tensor = self.head(self.body(self.code.flatten(0, 1)[None])).sigmoid()
        return images.view(-1, self.head.weight.shape[1], *images.shape[2:])[: self.batch]

    def layers(self) -> Sequence[nn.Module]:
        """Way down and way up of every scale, from the input's to the image's."""
        levels = [self.body]
        while levels[-1].inner is not None:
            levels.append(levels[-1].inner)
        ways_up = [nn.ModuleList([level.skip, level.raised, level.up]) for level in reversed(levels)]
        return [*(level.down for level in levels), *ways_up, self.head]
