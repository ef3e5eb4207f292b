"""Recipes of networks that judge attributes, and of oracles that are one attribute of such a network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.dataset import Images, Networks
from cfbench.errors import InvalidParameter
from cfbench.session import Session
from cfbench.training import AugmentedRecipe, answers, predict


def attributes_of(data: Images) -> Tensor:
    """Attributes ``[N, A]`` of images.

    Raises:
        InvalidParameter: they have none.
    """
    if data.attributes is None:
        raise InvalidParameter("these images have no attributes; give them in Images")
    return data.attributes


@dataclass(frozen=True)
class AttributeRecipe(AugmentedRecipe):
    """One binary cross-entropy for each attribute, all weighing the same, on augmented images.

    Quality is the accuracy, and the balanced accuracy (mean of the shares right of those with and without the
    attribute; chance gives 0.5), both averaged over the attributes that vary in the test images.
    """

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        def loss(images: Tensor, wanted: Tensor) -> Tensor:
            logits = network(images)
            session.note(accuracy=float(((logits > 0) == wanted.bool()).double().mean()))
            return F.binary_cross_entropy_with_logits(logits, wanted)

        self.run(network, replace(data, labels=attributes_of(data).float()), loss, seed, session)

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        wanted = attributes_of(data).bool()
        given = answers(network, data.images) > 0
        varies = wanted.any(0) & ~wanted.all(0)
        wanted, given = wanted[:, varies], given[:, varies]
        with_it = (given & wanted).sum(0) / wanted.sum(0)
        without = (~given & ~wanted).sum(0) / (~wanted).sum(0)
        return {
            "accuracy": float((given == wanted).double().mean()),
            "balanced_accuracy": float((with_it + without).double().mean() / 2),
        }


@dataclass(frozen=True)
class OneAttributeRecipe:
    """A :class:`cfbench.networks.OneAttribute` of a frozen attribute network; nothing is trained.

    Quality is the accuracy on test images.

    Attributes:
        source: name of the attribute network, whose weights it has.
    """

    source: str

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        network.load_state_dict(networks(self.source).state_dict())
        network.eval()
        session.progress(1.0, f"taken from {self.source}")

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        return {"accuracy": float((predict(network, data.images) == data.labels).double().mean())}
