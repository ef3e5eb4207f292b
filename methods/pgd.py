"""The negative control: a targeted adversarial attack."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.method import Method
from cfbench.needs import Needs


class PGD(Method):
    """Targeted projected gradient descent (Madry et al., arXiv 1706.06083): flips the classifier, explains nothing.

    Descends the cross-entropy to the target from the query itself, projected on the ball of ``norm`` and on [0, 1].

    Args:
        norm: ``linf`` (sign steps) or ``l2`` (normalised steps).
        epsilon: radius of the ball, in pixel values for ``linf``, in the l2 norm of the whole image for ``l2``.
        steps: number of steps, each of length ``2.5 * epsilon / steps``.
    """

    name = "pgd"
    family = "sentinel"
    citation = (
        "Madry et al.: Towards deep learning models resistant to adversarial attacks, ICLR 2018, arXiv 1706.06083"
    )
    needs = Needs(gradients=True)
    batch_size = 250

    def __init__(self, *, norm: Literal["linf", "l2"] = "linf", epsilon: float = 0.07, steps: int = 40) -> None:
        if epsilon <= 0 or steps < 1:
            raise InvalidParameter(f"epsilon is {epsilon} and steps {steps}; expected epsilon > 0 and steps >= 1")
        self.norm = norm
        self.epsilon = epsilon
        self.steps = steps

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        step = 2.5 * self.epsilon / self.steps
        current = images.clone()
        for _ in range(self.steps):
            current.requires_grad_()
            loss = F.cross_entropy(self.task.classifier(current), targets, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, current)
            change = current.detach() - step * self._direction(gradient) - images
            current = (images + self._project(change)).clamp(0, 1)
        return current

    def _direction(self, gradient: Tensor) -> Tensor:
        if self.norm == "linf":
            return gradient.sign()
        return gradient / _length(gradient).clamp_min(1e-12)

    def _project(self, change: Tensor) -> Tensor:
        if self.norm == "linf":
            return change.clamp(-self.epsilon, self.epsilon)
        return change * (self.epsilon / _length(change).clamp_min(1e-12)).clamp_max(1)


def _length(images: Tensor) -> Tensor:
    return images.flatten(1).norm(dim=1)[:, None, None, None]
