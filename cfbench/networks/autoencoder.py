"""The small convolutional autoencoder of the IM1 and IM2 metrics (architecture of arXiv 1907.02584)."""

from __future__ import annotations

from torch import Tensor, nn


class Autoencoder(nn.Module):
    """Encode to a feature map a channel of half the size, decode back; images ``[B, C, H, W]`` in [0, 1], H, W even."""

    def __init__(self, *, channels: int, width: int = 16) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, channels, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, channels, 3, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions of the shape of ``images``."""
        out: Tensor = self.decoder(self.encoder(images))
        return out
