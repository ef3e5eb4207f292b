"""Counterfactuals by gradients of an adversarially robust classifier."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.method import Method
from cfbench.needs import Needs

HALVINGS = 50
"""Bisections of the multiplier of the ball."""


class SVCE(Method):
    """Sparse visual counterfactuals: the target's most probable image in an l_1.5 ball (arXiv 2205.07972).

    Maximises ``log p_t(x')`` over the images of [0, 1] with ``|x' - x|_1.5 <= epsilon`` by Frank-Wolfe steps
    ``d_{k+1} = d_k + 2 / (k + 2) (s_k - d_k)``, where s_k is the change within both bounds that goes farthest along the
    gradient.
    Meant for classifiers trained against attacks, of which the gradients are pictures: ``--classifier robust``.

    Our reading: the plain Frank-Wolfe step, which the paper adapts; epsilon.

    Args:
        epsilon: radius of the ball in the l_1.5 norm of the whole image, in pixel values; above 0.
        steps: number of steps, at least 1.
    """

    name = "svce"
    family = "pixel optimisation"
    citation = (
        "Boreiko, Augustin, Croce, Berens, Hein: Sparse visual counterfactual explanations in image space, GCPR 2022, "
        "arXiv 2205.07972"
    )
    needs = Needs(gradients=True)
    batch_size = 250
    quick = {"steps": 5}

    def __init__(self, *, epsilon: float = 10.0, steps: int = 40) -> None:
        if epsilon <= 0 or steps < 1:
            raise InvalidParameter(f"epsilon is {epsilon} and steps {steps}; expected epsilon > 0 and steps >= 1")
        self.epsilon = epsilon
        self.steps = steps

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        change = torch.zeros_like(images)
        for step in range(self.steps):
            current = (images + change).requires_grad_()
            loss = F.cross_entropy(self.task.classifier(current), targets, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, current)
            moved = change + 2 / (step + 2) * (farthest(-gradient, images, self.epsilon) - change)
            flat = (gradient == 0).flatten(1).all(1)[:, None, None, None]
            change = torch.where(flat, change, moved)
        return (images + change).clamp(0, 1)


def farthest(gradient: Tensor, images: Tensor, epsilon: float) -> Tensor:
    """The change d of largest ``<gradient, d>`` with ``|d|_1.5 <= epsilon`` and ``images + d`` in [0, 1], [B, C, H, W].

    With a multiplier m of the ball every pixel stands alone: ``|d| = (|gradient| / m)^2``, cut where [0, 1] ends. The
    norm falls with m, which is bisected below its value without any cut. NaN where the gradient is.
    """
    size = gradient.abs()
    size = size / size.amax((1, 2, 3), keepdim=True).clamp_min(1e-30)
    room = torch.where(gradient > 0, 1 - images, images)

    def moved(multiplier: Tensor) -> Tensor:
        return torch.minimum((size / multiplier.clamp_min(1e-12)).square(), room)

    high = (size.pow(3).sum((1, 2, 3), keepdim=True) ** (1 / 3)) / epsilon**0.5
    low = torch.zeros_like(high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        far = moved(middle).pow(1.5).sum((1, 2, 3), keepdim=True) > epsilon**1.5
        low, high = torch.where(far, middle, low), torch.where(far, high, middle)
    return gradient.sign() * moved(high)
