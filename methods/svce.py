"""Counterfactuals by gradients of an adversarially robust classifier."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.method import Method
from cfbench.needs import Needs

FIRST = 0.75
"""Length of the first steps, as a share of the way to the farthest change; that of the authors' code."""

IMPROVING = 0.75
"""Share of the steps between two checks that must lower the loss for the step to stay as long (arXiv 2003.01690)."""

HALVINGS = 30
"""Bisections of the multiplier of the ball, more than single precision tells apart."""

State = tuple[Tensor, Tensor, Tensor]
"""A change ``[B, C, H, W]``, its loss ``[B]``, and the gradient of the loss ``[B, C, H, W]``."""


class SVCE(Method):
    """Sparse visual counterfactuals: the target's most probable image in an l_1.5 ball (arXiv 2205.07972).

    Maximises ``log p_t(x')`` over the images of [0, 1] with ``|x' - x|_1.5 <= epsilon`` by Auto-Frank-Wolfe: steps
    ``d_{k+1} = d_k + a_k (s_k - d_k)``, where s_k is the change within both bounds that goes farthest along the
    gradient. The step a_k of each image is halved, and goes on from its best change, where a check of Auto-PGD (arXiv
    2003.01690) finds no progress. The best change is taken.
    Meant for classifiers trained against attacks, of which the gradients are pictures: ``--classifier robust``.

    Our reading: the start at the query, where the authors' code draws one; epsilon.

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

    def __init__(self, *, epsilon: float = 10.0, steps: int = 75) -> None:
        if epsilon <= 0 or steps < 1:
            raise InvalidParameter(f"epsilon is {epsilon} and steps {steps}; expected epsilon > 0 and steps >= 1")
        self.epsilon = epsilon
        self.steps = steps

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        present = best = checked = self._at(torch.zeros_like(images), images, targets)
        share = torch.full_like(present[1], FIRST)
        improved = torch.zeros_like(share)
        halved = torch.ones_like(share, dtype=torch.bool)
        last = 0
        for step in range(1, self.steps + 1):
            change, before, gradient = present
            ahead = farthest(-gradient, images, self.epsilon)
            present = self._at(change + share[:, None, None, None] * (ahead - change), images, targets)
            improved += present[1] < before
            best = chosen(present[1] < best[1], present, best)
            if step in checks(self.steps):
                stuck = ~halved & (best[1] == checked[1])
                halved = (improved < IMPROVING * (step - last)) | stuck
                share = torch.where(halved, share / 2, share)
                present = chosen(halved, best, present)
                checked, last = best, step
                improved.zero_()
        known = best[1].isfinite()[:, None, None, None]
        return torch.where(known, (images + best[0]).clamp(0, 1), torch.nan)

    def _at(self, change: Tensor, images: Tensor, targets: Tensor) -> State:
        current = (images + change).requires_grad_()
        loss = F.cross_entropy(self.task.classifier(current), targets, reduction="none")
        (gradient,) = torch.autograd.grad(loss.sum(), current)
        return change, loss.detach(), gradient


def chosen(which: Tensor, these: State, others: State) -> State:
    """``these`` for the images of ``which`` [B], ``others`` for the rest."""
    wide = which[:, None, None, None]
    return (
        torch.where(wide, these[0], others[0]),
        torch.where(which, these[1], others[1]),
        torch.where(wide, these[2], others[2]),
    )


def checks(steps: int) -> list[int]:
    """Steps after which progress is checked: 22 % of ``steps``, then after ever fewer (arXiv 2003.01690, section 3.2).

    Every interval is shorter than the one before by 3 % of ``steps``, but no shorter than 6 %.
    """
    percents, interval = [22], 22
    while percents[-1] < 100:
        interval = max(interval - 3, 6)
        percents.append(percents[-1] + interval)
    return [-(-percent * steps // 100) for percent in percents[:-1]]


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
