"""The network explained, as a method sees it: access checked, calls counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cfbench.errors import AccessDenied, InvalidParameter
from cfbench.networks import FeatureNetwork


@dataclass
class CallCounter:
    """Images that went forwards and gradients that came back through a network, and generator evaluations."""

    forwards: int = 0
    backwards: int = 0
    generated: int = 0


class _CountGradient(torch.autograd.Function):
    """Identity that counts the images whose gradient passes."""

    generate_vmap_rule = True

    @staticmethod
    def forward(images: Tensor, counter: CallCounter) -> Tensor:
        return images.view_as(images)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, CallCounter], output: Tensor) -> None:
        ctx.counter = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        ctx.counter.backwards += len(gradients[0])
        return gradients[0], None


class Classifier:
    """A classifier of [0, 1] images with its preprocessing inside.

    Args:
        network: maps images ``[B, C, H, W]`` in [0, 1] to logits ``[B, num_classes]``; if it is a
            :class:`cfbench.networks.FeatureNetwork`, its feature maps can be read.
        num_classes: number of classes.
        gradients: whether gradients and feature maps may be used; without, every output is detached.
        counter: where calls are counted, in images; under ``torch.func.vmap`` a call counts as one image.
    """

    def __init__(
        self, network: nn.Module, *, num_classes: int, gradients: bool = True, counter: CallCounter | None = None
    ) -> None:
        self._network = network
        self.num_classes = num_classes
        self.gradients = gradients
        self.counter = counter or CallCounter()

    def _enter(self, images: Tensor) -> Tensor:
        if images.ndim != 4:
            raise InvalidParameter(f"a classifier takes images [B, C, H, W], got {list(images.shape)}")
        self.counter.forwards += len(images)
        if images.requires_grad and self.gradients:
            counted: Tensor = _CountGradient.apply(images, self.counter)
            return counted
        return images

    def __call__(self, images: Tensor) -> Tensor:
        """Logits ``[B, num_classes]`` of images ``[B, C, H, W]`` in [0, 1]; differentiable if gradients are granted."""
        with torch.set_grad_enabled(self.gradients and torch.is_grad_enabled()):
            logits: Tensor = self._network(self._enter(images))
        return logits

    def probabilities(self, images: Tensor) -> Tensor:
        """Class probabilities ``[B, num_classes]``."""
        return self(images).softmax(dim=1)

    def predict(self, images: Tensor) -> Tensor:
        """The most probable class of each image, ``[B]`` int64, without gradients."""
        with torch.no_grad():
            return self(images).argmax(dim=1)

    def outputs(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Feature maps of every stage (each ``[B, C_l, H_l, W_l]``) and logits, of one pass.

        Raises:
            AccessDenied: the method did not declare ``needs.gradients``, or the network has no readable stages.
        """
        if not self.gradients:
            raise AccessDenied("feature maps need white-box access; declare needs = Needs(gradients=True)")
        if not isinstance(self._network, FeatureNetwork):
            raise AccessDenied(f"{type(self._network).__name__} has no readable stages; subclass FeatureNetwork")
        return self._network.outputs(self._enter(images))

    @property
    def network(self) -> nn.Module:
        """The network itself, for methods that read its layers; calls made on it directly are not counted.

        Raises:
            AccessDenied: the method did not declare ``needs.gradients``.
        """
        if not self.gradients:
            raise AccessDenied("the network itself needs white-box access; declare needs = Needs(gradients=True)")
        return self._network
