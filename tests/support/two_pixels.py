"""A task of images of two pixels, on which the answers of methods are known by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from cfbench.classifier import Classifier
from cfbench.method import Method
from cfbench.registry import METHODS
from cfbench.seeds import QueryRandom

ONE = torch.tensor([1])


class Linear(nn.Module):
    """Two logits of images of two pixels; class 1 leads by ``2 x_1 + x_2 - 1``."""

    def forward(self, images: Tensor) -> Tensor:
        lead = images.flatten(1) @ images.new_tensor([2.0, 1.0]) - 1
        return torch.stack([-lead / 2, lead / 2], dim=1)


class Flat(nn.Module):
    """An autoencoder whose code is the image and whose reconstruction is black."""

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images.flatten(1), torch.zeros_like(images).flatten(1)

    def decode(self, latents: Tensor) -> Tensor:
        return torch.zeros_like(latents)[:, None, None, :]

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images)[0])


POOL = torch.tensor([[204, 51], [153, 102], [51, 0], [255, 255]], dtype=torch.uint8)[:, None, None, :]
"""Four images; :class:`Linear` puts all but the third in class 1."""


def pair(*pixels: float) -> Tensor:
    """Images of two pixels each."""
    return torch.tensor(pixels).view(-1, 1, 1, 2)


def ready(name: str, network: nn.Module | None = None, **parameters: Any) -> Method:
    """A method before a task of such images, with random numbers for one."""
    method: Method = METHODS.load(name).create(parameters)
    method.task = SimpleNamespace(  # type: ignore[assignment]
        classifier=Classifier(network or Linear(), num_classes=2),
        network=lambda role: Flat(),
        training_data=lambda: SimpleNamespace(images=POOL),
    )
    method.random = QueryRandom([0])
    method._columns = {}
    method.prepare(method.task)
    return method
