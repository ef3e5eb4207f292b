"""Smooth copies of a classifier, through which gradients change little from one image to the next."""

from __future__ import annotations

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.classifier import Classifier
from cfbench.errors import MissingResource
from cfbench.fitted import fitted
from cfbench.session import Session
from cfbench.training import DistilRecipe
from cfbench.view import MethodView

SHARPNESS = 3.0
"""Of the softplus: the larger, the nearer it is to ReLU and the faster its slope changes."""
SEED = 1
"""Of the order and the shifts of the images that a copy learns from."""
RATE = 1e-3
"""Highest learning rate of a copy, which starts near what it copies."""
SHIFT = 2
"""Pixels by which the images are moved at most."""


class _Answers(nn.Module):
    """The logits of a classifier, counted as calls of it."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self._classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        return self._classifier(images)


class _SoftClip(nn.Module):
    """ReLU6 as the difference of two softplus."""

    def forward(self, features: Tensor) -> Tensor:
        return F.softplus(features, SHARPNESS) - F.softplus(features - 6, SHARPNESS)


def _smooth(module: nn.Module) -> nn.Module:
    match module:
        case nn.ReLU():
            return nn.Softplus(SHARPNESS)
        case nn.ReLU6():
            return _SoftClip()
    return module


def softened(network: nn.Module) -> nn.Module:
    """A copy of ``network`` with softplus in place of its ``nn.ReLU`` and ``nn.ReLU6`` modules.

    Raises:
        MissingResource: it is TorchScript, whose modules cannot be replaced.
    """
    if isinstance(network, torch.jit.ScriptModule):
        raise MissingResource(
            "the activations of a TorchScript classifier cannot be replaced by smooth ones; give it as file.py:factory"
        )
    copy = deepcopy(network).requires_grad_()
    for module in list(copy.modules()):
        for name, child in module.named_children():
            setattr(module, name, _smooth(child))
    return copy


def smooth_copy(task: MethodView, *, epochs: int) -> nn.Module:
    """The classifier explained with softplus in place of ReLU, distilled from its answers on the training pool; frozen.

    Starts at the classifier's weights (ours). Is kept in the user's cache: :func:`cfbench.fitted.fitted`.

    Args:
        task: must grant gradients and training data. epochs: over the pool.
    """
    data = task.training_data()

    def fit(network: nn.Module) -> None:
        recipe = DistilRecipe(epochs=epochs, shift=SHIFT, rate=RATE)
        recipe.fit(network, data, seed=SEED, networks=lambda name: _Answers(task.classifier), session=Session())

    key = {"classifier": task.guarded.state_dict(), "images": data.images, "epochs": epochs}
    return fitted("smooth-copy", lambda: softened(task.classifier.network), fit, key)
