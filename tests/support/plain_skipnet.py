"""The deep image prior of one image, of PyTorch's own layers: the outside truth for the stacked one."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class PlainLevel(nn.Module):
    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        width = widths[0]
        self.down = nn.ModuleList(
            [
                nn.Conv2d(inputs, width, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width, track_running_stats=False),
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width, track_running_stats=False),
            ]
        )
        self.inner = PlainLevel(width, widths[1:]) if len(widths) > 1 else None
        self.skip = nn.Conv2d(inputs, width, 1, bias=False)
        self.raised = nn.Conv2d(widths[min(1, len(widths) - 1)], width, 1, bias=False)
        self.up = nn.ModuleList(
            [
                nn.BatchNorm2d(width, track_running_stats=False),
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width, track_running_stats=False),
            ]
        )

    def forward(self, features: Tensor) -> Tensor:
        deep = features
        for conv, norm in zip(self.down[::2], self.down[1::2], strict=True):
            deep = F.leaky_relu(norm(conv(deep)), 0.2)
        if self.inner is not None:
            deep = self.inner(deep)
        raised = F.interpolate(self.raised(deep), size=features.shape[2:], mode="nearest")
        joined = F.leaky_relu(self.up[0](raised + self.skip(features)), 0.2)
        return F.leaky_relu(self.up[2](self.up[1](joined)), 0.2)


class PlainSkipNet(nn.Module):
    """The same network of one image, of PyTorch's own layers."""

    def __init__(self, shape: tuple[int, int, int], widths: tuple[int, ...], noise: int) -> None:
        super().__init__()
        self.body = PlainLevel(noise, widths)
        self.head = nn.Conv2d(widths[0], shape[0], 1)

    def forward(self, code: Tensor) -> Tensor:
        return self.head(self.body(code)).sigmoid()
