"""Recipes of networks that judge attributes, and of oracles that are one attribute of such a network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
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
    attribute; chance gives 0.5), both averaged over the attributes that test images have or have not and that vary
    there. Of attributes that have degrees it is the mean absolute error and Pearson's correlation, averaged.
    """

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        def loss(images: Tensor, wanted: Tensor) -> Tensor:
            logits = network(images)
            session.note(accuracy=float(((logits > 0) == (wanted > 0.5)).double().mean()))
            return F.binary_cross_entropy_with_logits(logits, wanted)

        self.run(network, replace(data, labels=attributes_of(data).float()), loss, seed, session)

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        attributes, logits = attributes_of(data), answers(network, data.images)
        graded = ((attributes != 0) & (attributes != 1)).any(0)
        wanted, given = attributes[:, ~graded].bool(), logits[:, ~graded] > 0
        varies = wanted.any(0) & ~wanted.all(0)
        wanted, given = wanted[:, varies], given[:, varies]
        with_it = (given & wanted).sum(0) / wanted.sum(0)
        without = (~given & ~wanted).sum(0) / (~wanted).sum(0)
        quality = {
            "accuracy": float((given == wanted).double().mean()),
            "balanced_accuracy": float((with_it + without).double().mean() / 2),
        }
        return quality | _degrees(attributes[:, graded], logits[:, graded].sigmoid()) if graded.any() else quality


def _degrees(wanted: Tensor, given: Tensor) -> dict[str, float]:
    """Mean absolute error and correlation of degrees ``[N, A]``, averaged over the attributes."""
    both = [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(wanted.T, given.T, strict=True)]
    return {"mae": float((wanted - given).abs().mean()), "correlation": float(torch.stack(both).mean())}


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
