"""Small convolutional classifiers of five families, for images of 28 to 64 pixels.

Classifier, oracles and extractor of a task come from different families, so that what one sees the others
see independently.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cfbench.networks.base import FeatureNetwork


def _conv(inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)


class PlainCNN(FeatureNetwork):
    """3x3 convolutions with batch norm and ReLU, 2x2 max pooling between stages (VGG, arXiv 1409.1556).

    The first stage has one convolution, the others ``depth``.

    Args:
        stride: of the first convolution; here and below, 2 makes a network for 64 pixels as fast as one for 32.
    """

    def __init__(
        self,
        *,
        channels: int,
        classes: int,
        widths: Sequence[int],
        depth: int,
        mean: Sequence[float],
        std: Sequence[float],
        stride: int = 1,
    ) -> None:
        stages: list[nn.Module] = []
        for index, width in enumerate(widths):
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if index else []
            for _ in range(depth if index else 1):
                strided = _conv(channels, width, stride=1 if index else stride)
                layers += [strided, nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            stages.append(nn.Sequential(*layers))
        super().__init__(stages, width=channels, classes=classes, mean=mean, std=std)


class _ResidualBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            _conv(inputs, outputs, stride=stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            _conv(outputs, outputs),
        )
        self.shortcut = nn.Identity() if inputs == outputs and stride == 1 else _conv(inputs, outputs, 1, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.shortcut(features) + self.body(features)
        return out


class ResNet(FeatureNetwork):
    """Pre-activation residual blocks, one a stage, strided between stages (arXiv 1603.05027)."""

    def __init__(
        self,
        *,
        channels: int,
        classes: int,
        widths: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        stride: int = 1,
    ) -> None:
        stages: list[nn.Module] = [_conv(channels, widths[0], stride=stride)]
        for index, width in enumerate(widths):
            stages.append(_ResidualBlock(widths[max(index - 1, 0)], width, stride=2 if index else 1))
        stages.append(nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU()))
        super().__init__(stages, width=widths[-1], classes=classes, mean=mean, std=std)


class _MixerBlock(nn.Module):
    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.space = nn.Sequential(_conv(width, width, kernel, groups=width), nn.GELU(), nn.BatchNorm2d(width))
        self.channels = nn.Sequential(_conv(width, width, 1), nn.GELU(), nn.BatchNorm2d(width))

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.channels(features + self.space(features))
        return out


class ConvMixer(FeatureNetwork):
    """Patch embedding, then depthwise and pointwise mixing at one resolution (arXiv 2201.09792)."""

    def __init__(
        self,
        *,
        channels: int,
        classes: int,
        width: int,
        depth: int,
        patch: int,
        kernel: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        stem = nn.Sequential(nn.Conv2d(channels, width, patch, stride=patch), nn.GELU(), nn.BatchNorm2d(width))
        blocks = [_MixerBlock(width, kernel) for _ in range(depth)]
        super().__init__([stem, *blocks], width=width, classes=classes, mean=mean, std=std)


class _DenseStage(nn.Module):
    def __init__(self, inputs: int, *, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), _conv(width, growth))
            for width in range(inputs, inputs + growth * layers, growth)
        )

    def forward(self, features: Tensor) -> Tensor:
        for layer in self.layers:
            features = torch.cat([features, layer(features)], dim=1)
        return features


class DenseNet(FeatureNetwork):
    """Densely connected stages with average-pooled transitions (arXiv 1608.06993)."""

    def __init__(
        self,
        *,
        channels: int,
        classes: int,
        stem: int,
        growths: Sequence[int],
        layers: int,
        mean: Sequence[float],
        std: Sequence[float],
        stride: int = 1,
    ) -> None:
        stages: list[nn.Module] = [_conv(channels, stem, stride=stride)]
        width = stem
        for growth in growths:
            dense = _DenseStage(width, growth=growth, layers=layers)
            stages.append(nn.Sequential(nn.AvgPool2d(2), dense))
            width += growth * layers
        stages.append(nn.Sequential(nn.BatchNorm2d(width), nn.ReLU()))
        super().__init__(stages, width=width, classes=classes, mean=mean, std=std)


class _InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.residual = inputs == outputs and stride == 1
        self.body = nn.Sequential(
            _conv(inputs, hidden, 1),
            nn.BatchNorm2d(hidden),
            nn.SiLU(),
            _conv(hidden, hidden, stride=stride, groups=hidden),
            nn.BatchNorm2d(hidden),
            nn.SiLU(),
            _conv(hidden, outputs, 1),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.body(features)
        return features + out if self.residual else out


class MobileNet(FeatureNetwork):
    """Inverted residuals with depthwise convolutions (arXiv 1801.04381); ``features`` pooled outputs."""

    def __init__(
        self,
        *,
        channels: int,
        classes: int,
        widths: Sequence[int],
        expansion: int,
        features: int,
        mean: Sequence[float],
        std: Sequence[float],
        stride: int = 1,
    ) -> None:
        first = widths[0]
        stem = nn.Sequential(_conv(channels, first, stride=stride), nn.BatchNorm2d(first), nn.SiLU())
        stages: list[nn.Module] = [stem]
        for inputs, outputs in zip([first, *widths], widths, strict=False):
            stages.append(
                nn.Sequential(
                    _InvertedResidual(inputs, outputs, expansion=expansion, stride=2),
                    _InvertedResidual(outputs, outputs, expansion=expansion, stride=1),
                )
            )
        stages.append(nn.Sequential(_conv(widths[-1], features, 1), nn.BatchNorm2d(features), nn.SiLU()))
        super().__init__(stages, width=features, classes=classes, mean=mean, std=std)
