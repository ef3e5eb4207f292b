"""Image priors of one image each, of PyTorch's own layers: what the stacked ones are timed against."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from plain_skipnet import PlainSkipNet
from torch import Tensor, nn

from cfbench.priors import Prior
from cfbench.priors.coordinates import grid

Shape = tuple[int, int, int]


class Sine(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return (30 * features).sin()


class PlainCoordinates(nn.Module):
    """A network of the coordinates, 64 wide, three hidden layers."""

    def __init__(self, shape: Shape, inputs: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.shape = shape
        layers: list[nn.Module] = []
        for width in (inputs, 64, 64):
            layers += [nn.Linear(width, 64), activation()]
        self.body = nn.Sequential(*layers, nn.Linear(64, shape[0]), nn.Sigmoid())

    def forward(self, features: Tensor) -> Tensor:
        return self.body(features).T.reshape(1, *self.shape)


def skipnet(shape: Shape) -> tuple[nn.Module, Tensor]:
    """The default ``SkipNet`` of one image and its input."""
    return PlainSkipNet(shape, (16, 16, 32), noise=16), torch.rand(1, 16, *shape[1:]) * 0.1


def siren(shape: Shape) -> tuple[nn.Module, Tensor]:
    """The default ``Siren`` of one image and its input."""
    return PlainCoordinates(shape, 2, Sine), grid(*shape[1:])


def fourier(shape: Shape) -> tuple[nn.Module, Tensor]:
    """The default ``FourierNet`` of one image and its input."""
    waves = grid(*shape[1:]) @ torch.randn(2, 64).mul(5 * math.pi)
    return PlainCoordinates(shape, 128, nn.ReLU), torch.cat([waves.cos(), waves.sin()], dim=1)


class Single(Prior):
    """One image made by an ordinary module."""

    def __init__(self, module: nn.Module, features: Tensor) -> None:
        super().__init__(1)
        self.module, self.inputs = module, features

    def forward(self) -> Tensor:
        return self.module(self.inputs)

    def layers(self) -> Sequence[nn.Module]:
        return [self.module]


class Vmapped(Prior):
    """Images made by ``torch.func.vmap`` over the stacked weights of ordinary modules."""

    def __init__(self, singles: Sequence[Single]) -> None:
        super().__init__(len(singles))
        base = singles[0].module
        weights, _ = torch.func.stack_module_state([single.module for single in singles])
        self.names = list(weights)
        self.weights = nn.ParameterList(weights.values())
        self.inputs = torch.stack([single.inputs for single in singles])
        self.call = torch.func.vmap(lambda weight, given: torch.func.functional_call(base, weight, (given,))[0])

    def forward(self) -> Tensor:
        return self.call(dict(zip(self.names, self.weights, strict=True)), self.inputs)

    def layers(self) -> Sequence[nn.Module]:
        return [self.weights]
