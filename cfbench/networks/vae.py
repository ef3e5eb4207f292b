"""A convolutional variational autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cfbench.networks.pyramids import Ascent, Descent


class VAE(nn.Module):
    """q(z | x) = N(mean, exp(logvar)), p(z) = N(0, I) (Kingma and Welling, arXiv 1312.6114); p(x | z) is Gaussian.

    Args:
        channels, side: of the images. latent: length of z. widths: channels at half the side and a quarter.
        hidden: units between the last feature map and z.
    """

    def __init__(self, *, channels: int, side: int, latent: int, widths: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.latent = latent
        self.counted = ("encoder", "decoder")
        descent = Descent(channels=channels, side=side, widths=widths)
        self.encoder = nn.Sequential(
            descent, nn.Linear(descent.features, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 2 * latent)
        )
        self.decoder = Ascent(latent, channels=channels, side=side, widths=widths)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of z, each ``[B, latent]``, for images ``[B, C, H, W]`` in [0, 1]."""
        mean, logvar = self.encoder(images).chunk(2, dim=1)
        return mean, logvar.clamp(-12, 6)

    def decode(self, latents: Tensor) -> Tensor:
        """Images ``[B, C, H, W]`` in (0, 1) of ``latents`` ``[B, latent]``."""
        out: Tensor = self.decoder(latents)
        return out

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions from the mean of z."""
        return self.decode(self.encode(images)[0])


def divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, I)) in nats, ``[B]``, of ``[B, latent]``."""
    return (mean.square() + logvar.exp() - logvar - 1).sum(dim=1) / 2


def calibrated_nll(images: Tensor, reconstructions: Tensor) -> Tensor:
    """-log N(images; reconstructions, s^2 I) in nats an image, a scalar, at the best s of the batch.

    The best s^2 is the mean squared error (sigma-VAE, Rybkin et al., arXiv 2006.13202, equation 4), so that nothing
    weighs reconstruction against divergence.
    """
    error = (images - reconstructions).square().mean()
    return images[0].numel() / 2 * (torch.log(2 * math.pi * error) + 1)
