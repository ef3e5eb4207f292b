"""Adversarially robust classifiers: attacks by projected gradients, and training on them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.dataset import Images, Networks
from cfbench.images import dequantise
from cfbench.session import Session
from cfbench.training import AugmentedRecipe, predict, share

PART = 250
"""Images that are attacked at once in measuring."""


def attacked(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Images moved away from their class by untargeted projected gradient ascent (Madry et al., arXiv 1706.06083).

    Starts anywhere in the l-infinity ball and takes ``steps`` steps of ``2.5 * epsilon / (steps + 1)``: one step is
    then the fast attack of arXiv 2001.03994, with its length of 1.25 epsilon.

    Args:
        images: ``[B, C, H, W]`` in [0, 1]. labels: their class ``[B]``. epsilon: radius of the ball, in pixel values.
        generator: of the start; torch's global one if None.
    """
    change = epsilon * (2 * torch.rand(images.shape, generator=generator).to(images.device) - 1)
    current = (images + change).clamp(0, 1)
    for _ in range(steps):
        current.requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(network(current), labels), current)
        change = current.detach() + 2.5 * epsilon / (steps + 1) * slope.sign() - images
        current = (images + change.clamp(-epsilon, epsilon)).clamp(0, 1)
    return current


@dataclass(frozen=True)
class RobustRecipe(AugmentedRecipe):
    """Train on attacked images alone, each attack of few ``steps`` from a random start (arXiv 1706.06083, 2001.03994).

    Attacks are made in evaluation mode. Quality is the accuracy on test images, and that on the first ``judged`` of
    them under an attack of the same radius and ``stronger`` steps.

    Attributes:
        epsilon: radius of the l-infinity ball, in pixel values.
    """

    epsilon: float = 0.1
    steps: int = 1
    stronger: int = 40
    judged: int = 2000

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        def loss(images: Tensor, labels: Tensor) -> Tensor:
            network.eval()
            moved = attacked(network, images, labels, epsilon=self.epsilon, steps=self.steps)
            network.train()
            logits: Tensor = network(moved)
            session.note(accuracy=share(logits.argmax(1) == labels))
            return F.cross_entropy(logits, labels)

        self.run(network, data, loss, seed, session)

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        start = torch.Generator().manual_seed(0)
        right = []
        judged = (part[: self.judged].split(PART) for part in (data.images, data.labels))
        for images, labels in zip(*judged, strict=True):
            shown = dequantise(images)
            moved = attacked(network, shown, labels, epsilon=self.epsilon, steps=self.stronger, generator=start)
            with torch.inference_mode():
                right.append(network(moved).argmax(1) == labels)
        return {
            "accuracy": share(predict(network, data.images) == data.labels),
            "accuracy_attacked": share(torch.cat(right)),
            "epsilon": self.epsilon,
        }
