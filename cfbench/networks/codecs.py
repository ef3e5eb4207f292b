"""Spaces that a diffusion model can work in: blocks of pixels, or the latents of a small autoencoder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.networks.pyramids import SLOPE


class PixelBlocks(nn.Module):
    """Blocks of ``patch`` x ``patch`` pixels as the channels of one: exact, and ``patch**2`` times fewer positions.

    Args:
        channels: of the images.

    Attributes:
        channels: of the space. scale: how many times smaller its side is. bound: no value is larger than that.
    """

    def __init__(self, *, channels: int, patch: int = 2) -> None:
        super().__init__()
        self.channels = channels * patch**2
        self.scale = patch
        self.bound = 1.0

    def encode(self, images: Tensor) -> Tensor:
        """Values in [-1, 1], ``[B, C * patch**2, H / patch, W / patch]``, of [0, 1] images ``[B, C, H, W]``."""
        return F.pixel_unshuffle(images * 2 - 1, self.scale)

    def decode(self, values: Tensor) -> Tensor:
        """Images ``[B, C, H, W]``, in [0, 1] where ``values`` are in [-1, 1]."""
        return (F.pixel_shuffle(values, self.scale) + 1) / 2


class Compressor(nn.Module):
    """A convolutional autoencoder whose latents have a quarter of the side (latent diffusion, arXiv 2112.10752).

    Args:
        channels: of the images. latents: channels of the space. width: channels of the feature maps.

    Attributes:
        channels, scale, bound: as of :class:`PixelBlocks`; latents are clipped at ``bound`` deviations.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, *, channels: int, latents: int = 4, width: int = 32) -> None:
        super().__init__()
        self.channels = latents
        self.scale = 4
        self.bound = 5.0
        self.down = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * channels, width, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(2 * width, latents, 3, padding=1),
        )
        self.up = nn.Sequential(
            nn.Conv2d(latents, 2 * width, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(2 * width, 4 * width, 3, padding=1),
            nn.PixelShuffle(2),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, 4 * channels, 3, padding=1),
            nn.PixelShuffle(2),
        )
        self.register_buffer("centre", torch.zeros(latents, 1, 1))
        self.register_buffer("spread", torch.ones(latents, 1, 1))

    def encode(self, images: Tensor) -> Tensor:
        """Latents ``[B, latents, H / 4, W / 4]`` of [0, 1] images ``[B, C, H, W]``, once standardised of variance 1."""
        out: Tensor = (self.down(images * 2 - 1) - self.centre) / self.spread
        return out

    def decode(self, values: Tensor) -> Tensor:
        """Images ``[B, C, H, W]``, about in [0, 1], of latents."""
        out: Tensor = (self.up(values * self.spread + self.centre) + 1) / 2
        return out

    @torch.no_grad()
    def standardise(self, images: Tensor) -> None:
        """Give the latents of ``images`` ``[B, C, H, W]`` mean 0 and variance 1 in every channel."""
        latents = self.down(images * 2 - 1)
        self.centre.copy_(latents.mean(dim=(0, 2, 3))[:, None, None])
        self.spread.copy_(latents.std(dim=(0, 2, 3))[:, None, None])
