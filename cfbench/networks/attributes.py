"""Classifiers with and without one attribute, made of a network that judges many."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cfbench.networks.base import FeatureNetwork


class OneAttribute(FeatureNetwork):
    """Answers [0, z] where an attribute network answers z; it has that network's weights, under the same names.

    Args:
        network: judges many attributes. attribute: which output to take.
    """

    def __init__(self, network: FeatureNetwork, attribute: int) -> None:
        self.adopt(network)
        self.attribute = attribute

    @classmethod
    def of(cls, build: Callable[[], FeatureNetwork], attribute: int) -> OneAttribute:
        """One output of the network that ``build`` makes."""
        return cls(build(), attribute)

    def outputs(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Feature maps, and logits ``[B, 2]`` of without and with the attribute."""
        maps, logits = super().outputs(images)
        chosen = logits[:, self.attribute]
        return maps, torch.stack([torch.zeros_like(chosen), chosen], dim=1)
