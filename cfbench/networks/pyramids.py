"""From images down to features, and from a vector up to images: what generative networks share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

GROUPS = 8
SLOPE = 0.2


class Descent(nn.Module):
    """Features ``[B, features]`` of images ``[B, channels, side, side]`` in [0, 1], without norms.

    Args:
        widths: channels at half the side, a quarter, and so on.
    """

    def __init__(self, *, channels: int, side: int, widths: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(4 * channels, widths[0], 3, padding=1)]
        for inputs, outputs in pairwise(widths):
            layers += [nn.LeakyReLU(SLOPE), nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)]
        layers += [nn.LeakyReLU(SLOPE), nn.Conv2d(widths[-1], widths[-1], 3, padding=1), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.features = widths[-1] * (side // 2 ** len(widths)) ** 2

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.layers(images * 2 - 1)
        return out


class _Styled(nn.Module):
    """Group norm whose scale and shift are linear in the style (FiLM, arXiv 1709.07871), then leaky ReLU."""

    def __init__(self, width: int, style: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width, affine=False)
        self.style = nn.Linear(style, 2 * width)
        self.activation = nn.LeakyReLU(SLOPE)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.style(style)[:, :, None, None].chunk(2, dim=1)
        out: Tensor = self.activation(self.norm(features) * (1 + scale) + shift)
        return out


class Ascent(nn.Module):
    """Images ``[B, channels, side, side]`` in (0, 1) from a vector ``[B, inputs]`` that also styles every stage.

    Resolution doubles by convolutions whose channels unfold into pixels (arXiv 1609.05158).

    Args:
        widths: channels at half the side, a quarter, and so on, as of :class:`Descent`.
    """

    def __init__(self, inputs: int, *, channels: int, side: int, widths: Sequence[int]) -> None:
        super().__init__()
        up = list(reversed(widths))
        base = side // 2 ** len(up)
        self.stem = nn.Sequential(nn.Linear(inputs, up[0] * base**2), nn.Unflatten(1, (up[0], base, base)))
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(low, 4 * high, 3, padding=1), nn.PixelShuffle(2)) for low, high in pairwise(up)
        )
        self.stages.append(nn.Conv2d(up[-1], up[-1], 3, padding=1))
        self.styles = nn.ModuleList(_Styled(width, inputs) for width in [*up, up[-1]])
        self.picture = nn.Sequential(nn.Conv2d(up[-1], 4 * channels, 3, padding=1), nn.PixelShuffle(2), nn.Sigmoid())

    def forward(self, vector: Tensor) -> Tensor:
        features = self.stem(vector)
        for style, stage in zip(self.styles, self.stages, strict=False):
            features = stage(style(features, vector))
        out: Tensor = self.picture(self.styles[-1](features, vector))
        return out
