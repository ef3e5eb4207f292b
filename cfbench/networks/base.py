"""What every network of the zoo shares: preprocessing inside, stages whose outputs can be read, a head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """Map [0, 1] images to zero mean and unit deviation per channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class FeatureNetwork(nn.Module):
    """A classifier of [0, 1] images built of ``stages`` (feature maps) and a linear ``head``.

    Args:
        stages: modules applied in turn; the output of stage l is the feature map Psi_l.
        width: channels of the last feature map, which is averaged over space.
        classes: number of logits.
        mean, std: per-channel statistics for the built-in normalisation.
    """

    def __init__(
        self, stages: Sequence[nn.Module], *, width: int, classes: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.normalise = Normalise(mean, std)
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(width, classes)

    def adopt(self, network: FeatureNetwork) -> None:
        """Take over the parts of ``network``, in place of making one's own; its weights keep their names."""
        nn.Module.__init__(self)
        self.normalise, self.stages, self.head = network.normalise, network.stages, network.head

    def blocks(self, images: Tensor) -> list[Tensor]:
        """Feature maps of every stage, each ``[B, C_l, H_l, W_l]``, for images ``[B, C, H, W]`` in [0, 1]."""
        maps: list[Tensor] = []
        features = self.normalise(images)
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        return maps

    def embed(self, images: Tensor) -> Tensor:
        """Pooled penultimate features ``[B, width]``."""
        return self.blocks(images)[-1].mean(dim=(2, 3))

    def outputs(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Feature maps and logits ``[B, classes]`` of one pass."""
        maps = self.blocks(images)
        logits: Tensor = self.head(maps[-1].mean(dim=(2, 3)))
        return maps, logits

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[B, classes]``."""
        return self.outputs(images)[1]
