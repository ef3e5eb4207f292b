"""The toy task with linear generators and a classifier that is linear, so that a step is known in closed form."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from own_pictures import Thirds
from torch import Tensor, nn

from cfbench.method import Outcome
from cfbench.registry import METHODS
from cfbench.task import Task
from cfbench.testing import Toy
from cfbench.testing.toy import SIDE
from cfbench.view import MethodView

LATENT = 5
PIXELS = SIDE * SIDE
_random = torch.Generator().manual_seed(3)
COLUMNS = (torch.arange(PIXELS) % SIDE) // (SIDE // 3)
BASIS = torch.randn(LATENT + 3, PIXELS, generator=_random) / 100
BASIS += torch.randn(LATENT + 3, 3, generator=_random)[:, COLUMNS] / 20
"""The picture that each latent, and each weight of a class, adds."""
READING = torch.randn(PIXELS, LATENT, generator=_random) / 10
FILTERS = 20 / (PIXELS // 3) * torch.stack([(third == COLUMNS).float() for third in range(3)])
"""The logits of :class:`Thirds` as a matrix, ``[3, pixels]``."""


def picture(codes: Tensor) -> Tensor:
    return (0.5 + codes @ BASIS[: codes.shape[1]]).view(-1, 1, SIDE, SIDE)


class LinearVAE(nn.Module):
    latent = LATENT
    counted = ("decoder",)

    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.Identity()

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean = images.flatten(1) @ READING
        return mean, torch.zeros_like(mean)

    def decode(self, latents: Tensor) -> Tensor:
        return picture(self.decoder(latents))


class LinearGenerator(nn.Module):
    def forward(self, latents: Tensor, weights: Tensor) -> Tensor:
        return picture(torch.cat([latents, weights], dim=1))


class LinearGAN(nn.Module):
    counted = ("generator",)

    def __init__(self) -> None:
        super().__init__()
        self.generator = LinearGenerator()

    def encode(self, images: Tensor, weights: Tensor) -> Tensor:
        return images.flatten(1) @ READING


class LinearToy(Toy):
    """The toy task with these generators and a classifier that is linear."""

    made: ClassVar[dict[str, type[nn.Module]]] = {"vae": LinearVAE, "gan": LinearGAN, "classifier": Thirds}

    def network(self, name: str) -> nn.Module:
        return self.made[name]().eval() if name in self.made else super().network(name)


def explained(task: Task, name: str, count: int = 12, **parameters: Any) -> tuple[Outcome, MethodView]:
    """The first queries explained, with seeds 0, 1, and so on."""
    method = METHODS.load(name).create(parameters)
    view = MethodView(task, method.needs)
    method.setup(view)
    return method(task.images(slice(count)), task.targets[:count], seeds=list(range(count))), view
