"""Feature spaces in which sets of images are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from cfbench.networks import Autoencoder, FeatureNetwork


@dataclass(frozen=True)
class Space:
    """Where images become vectors.

    Attributes:
        name: as in the score's name, ``fd[name]``. identity: of the network behind it.
        embed: features ``[B, D]`` of images ``[B, C, H, W]`` in [0, 1].
        network: name of the judging network whose shared feature maps serve instead, if one does.
        problem: why images cannot be embedded here, or None.
        published: whether the identity says all that features depend on, so that they may be kept between runs.
    """

    name: str
    identity: str
    embed: Callable[[Tensor], Tensor]
    network: str | None = None
    problem: Callable[[], str | None] = lambda: None
    published: bool = False


NOWHERE = Space(
    "nowhere",
    identity="",
    embed=lambda images: images.flatten(1),
    problem=lambda: "there is no network of role extractor",
)
"""Stands where no network gives a space; metrics in it are blank."""


def space_of(name: str, identity: str, network: nn.Module) -> Space:
    """The space of a network: pooled last features, an autoencoder's code, or else its flat output."""
    if isinstance(network, FeatureNetwork):
        return Space(name, f"{identity} pooled", network.embed, name)
    if isinstance(network, Autoencoder):
        return Space(name, f"{identity} code", lambda images: network.encoder(images).flatten(1))
    return Space(name, f"{identity} output", lambda images: network(images).flatten(1))
