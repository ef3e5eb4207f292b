"""Implicit neural representations: images as small networks of the coordinates, one an image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cfbench.errors import InvalidParameter
from cfbench.priors.base import Prior
from cfbench.seeds import QueryRandom


def grid(height: int, width: int) -> Tensor:
    """Coordinates of the pixels' centres, in [-1, 1], row by row, ``[H W, 2]``."""
    rows, columns = ((torch.arange(size) * 2 + 1) / size - 1 for size in (height, width))
    return torch.cartesian_prod(rows, columns)


class StackedLinear(nn.Module):
    """B independent linear layers; weights uniform in +-``bound``, biases in +-1 / sqrt(inputs)."""

    def __init__(self, random: QueryRandom, inputs: int, outputs: int, bound: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(random.uniform(inputs, outputs, low=-bound, high=bound))
        spread = 1 / math.sqrt(inputs)
        self.bias = nn.Parameter(random.uniform(1, outputs, low=-spread, high=spread))

    def forward(self, features: Tensor, scale: float = 1.0) -> Tensor:
        """``[B, N, inputs]`` to ``[B, N, outputs]``, times ``scale``, which costs less on weights than on outputs."""
        return torch.baddbmm(scale * self.bias, features, scale * self.weight)


class _Coordinates(Prior):
    """What both representations share: hidden layers of equal width on features of the coordinates, sigmoid output."""

    def __init__(self, batch: int, image_shape: tuple[int, int, int], width: int, depth: int) -> None:
        super().__init__(batch)
        if width < 1 or depth < 1:
            raise InvalidParameter(f"width is {width}, depth {depth}; expected at least 1 of both")
        self.shape = image_shape
        self.hidden = nn.ModuleList()
        self.head: StackedLinear
        self.features: Tensor

    def hide(self, layer: nn.Module, features: Tensor) -> Tensor:
        """A hidden layer and its nonlinearity."""
        return layer(features).relu_()  # type: ignore[no-any-return]

    def forward(self) -> Tensor:
        features = self.features
        for layer in self.hidden:
            features = self.hide(layer, features)
        pixels: Tensor = self.head(features).sigmoid()[: self.batch]
        return pixels.transpose(1, 2).reshape(self.batch, *self.shape)

    def layers(self) -> Sequence[nn.Module]:
        return [*self.hidden, self.head]


class Siren(_Coordinates):
    """Sine networks of the coordinates (SIREN, Sitzmann et al., arXiv 2006.09661), one an image.

    ``sin(frequency (W u + b))`` in every hidden layer, weights drawn as in section 3.2 there. Our reading: a sigmoid
    at the end, so that images stay in [0, 1]; narrower than the paper's 256, for images this small.

    Args:
        random: one stream an image. image_shape: (C, H, W).
        width: outputs of a hidden layer. depth: number of hidden layers. frequency: factor inside the sine.

    Raises:
        InvalidParameter: width or depth below 1.
    """

    def __init__(
        self,
        random: QueryRandom,
        image_shape: tuple[int, int, int],
        *,
        width: int = 64,
        depth: int = 3,
        frequency: float = 30.0,
    ) -> None:
        super().__init__(len(random), image_shape, width, depth)
        random = random.at_least_two()
        self.frequency = frequency
        bound = math.sqrt(6 / width) / frequency
        self.hidden.append(StackedLinear(random, 2, width, 1 / 2))
        self.hidden.extend(StackedLinear(random, width, width, bound) for _ in range(depth - 1))
        self.head = StackedLinear(random, width, image_shape[0], bound)
        self.register_buffer("features", grid(*image_shape[1:]).to(random.device).expand(len(random), -1, -1))

    def hide(self, layer: nn.Module, features: Tensor) -> Tensor:
        return layer(features, scale=self.frequency).sin()  # type: ignore[no-any-return]


class FourierNet(_Coordinates):
    """ReLU networks on random Fourier features of the coordinates (Tancik et al., arXiv 2006.10739), one an image.

    Features ``[cos 2 pi B u, sin 2 pi B u]`` with B ~ N(0, scale^2), drawn for each image. Our reading: u in
    [-1/2, 1/2], a sigmoid at the end.

    Args:
        random: one stream an image. image_shape: (C, H, W).
        width: outputs of a hidden layer. depth: number of hidden layers.
        frequencies: rows of B. scale: standard deviation of B, in periods across the image.

    Raises:
        InvalidParameter: width or depth below 1.
    """

    def __init__(
        self,
        random: QueryRandom,
        image_shape: tuple[int, int, int],
        *,
        width: int = 64,
        depth: int = 3,
        frequencies: int = 64,
        scale: float = 5.0,
    ) -> None:
        super().__init__(len(random), image_shape, width, depth)
        random = random.at_least_two()
        waves = grid(*image_shape[1:]).to(random.device) @ random.normal(2, frequencies).mul(math.pi * scale)
        self.register_buffer("features", torch.cat([waves.cos(), waves.sin()], dim=2))
        inputs = 2 * frequencies
        for _ in range(depth):
            self.hidden.append(StackedLinear(random, inputs, width, math.sqrt(6 / inputs)))
            inputs = width
        self.head = StackedLinear(random, inputs, image_shape[0], 1 / math.sqrt(inputs))
