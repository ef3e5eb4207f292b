"""A conditional generative adversarial network with an encoder of real images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.networks.conditions import as_weights
from cfbench.networks.pyramids import SLOPE, Ascent, Descent


class Generator(nn.Module):
    """Images of latents and classes (or attributes), see :class:`GAN`."""

    def __init__(self, *, channels: int, side: int, classes: int, latent: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.classes = classes
        self.ascent = Ascent(latent + classes, channels=channels, side=side, widths=widths)

    def forward(self, latents: Tensor, classes: Tensor) -> Tensor:
        """Images ``[B, C, H, W]`` in (0, 1) of ``latents`` ``[B, latent]`` and ``classes`` ``[B]`` (int64).

        ``classes`` may also be weights of the classes ``[B, classes]``, to move from one to another, or attributes.
        """
        out: Tensor = self.ascent(torch.cat([latents, as_weights(classes, self.classes)], dim=1))
        return out


class GAN(nn.Module):
    """A ``generator`` of standard normal latents and a class or attributes, and an encoder of images (1512.09300).

    The discriminator that it is trained against (:class:`Discriminator`) is not part of it.

    Args:
        channels, side, classes: of the images; ``classes`` may be a number of attributes. latent: length of z.
        widths: channels at half the side, a quarter and so on.
        hidden: units between the encoder's last feature map and z.
    """

    def __init__(
        self, *, channels: int, side: int, classes: int, latent: int, widths: Sequence[int], hidden: int
    ) -> None:
        super().__init__()
        self.latent, self.classes = latent, classes
        self.counted = ("generator", "descent")
        self._images: dict[str, Any] = {"channels": channels, "side": side, "widths": widths}
        self.generator = Generator(latent=latent, classes=classes, **self._images)
        self.descent = Descent(**self._images)
        self.hidden = nn.Linear(self.descent.features + classes, hidden)
        self.code = nn.Linear(hidden, 2 * latent)

    def posterior(self, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of z, each ``[B, latent]``, given images ``[B, C, H, W]`` and ``classes`` ``[B]``."""
        features = torch.cat([self.descent(images), as_weights(classes, self.classes)], dim=1)
        mean, logvar = self.code(F.leaky_relu(self.hidden(features), SLOPE)).chunk(2, dim=1)
        return mean, logvar.clamp(-12, 6)

    def encode(self, images: Tensor, classes: Tensor) -> Tensor:
        """Latents ``[B, latent]`` from which the generator makes these images of ``classes``, ``[B]`` or weights."""
        return self.posterior(images, classes)[0]

    def reconstruct(self, images: Tensor, classes: Tensor) -> Tensor:
        """Reconstructions ``[B, C, H, W]`` in (0, 1) of ``images`` of ``classes``, ``[B]`` or weights."""
        out: Tensor = self.generator(self.encode(images, classes), classes)
        return out

    def sample(self, classes: Tensor, *, generator: torch.Generator) -> Tensor:
        """An image in (0, 1) of each of ``classes`` ``[B]``."""
        out: Tensor = self.generator(torch.randn(len(classes), self.latent, generator=generator), classes)
        return out

    def discriminator(self) -> Discriminator:
        """A new opponent of the encoder's size, to train against."""
        return Discriminator(classes=self.classes, hidden=self.hidden.out_features, **self._images)


class Discriminator(nn.Module):
    """How real an image of a class looks: linear in its features, plus their projection on the class (1802.05637)."""

    def __init__(self, *, channels: int, side: int, classes: int, widths: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.descent = Descent(channels=channels, side=side, widths=widths)
        self.hidden = nn.Linear(self.descent.features + 1, hidden)
        self.classes = classes
        self.real = nn.Linear(hidden, 1)
        self.projection = nn.Linear(classes, hidden, bias=False)

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """Logits ``[B]``, high for real images.

        The mean deviation of features over the batch is a feature too, which counters collapse (arXiv 1710.10196,
        section 3).
        """
        features = self.descent(images)
        spread = (features.var(dim=0) + 1e-8).sqrt().mean().expand(len(features), 1)
        hidden = F.leaky_relu(self.hidden(torch.cat([features, spread], dim=1)), SLOPE)
        logits: Tensor = self.real(hidden)[:, 0] + (hidden * self.projection(as_weights(classes, self.classes))).sum(
            dim=1
        )
        return logits
