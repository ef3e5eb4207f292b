"""Counterfactuals by search in the latent space of a generator, which finished queries leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.classifier import Classifier
from cfbench.images import dequantise, quantise

Map = Callable[[Tensor], Tensor]
"""Gives, of codes ``[B, K]``, images or other codes, each of its own."""

Objective = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]
"""Losses ``[M]`` and logits ``[M, classes]`` of images ``[M, C, H, W]``.

Also given are all codes ``[B, K]``, the places ``[M]`` among them of those that the images are made of, and the share
of the steps that is left.
"""


@dataclass(frozen=True)
class Found:
    """Counterfactuals ``[B, C, H, W]``, their codes ``[B, K]``, and the step ``[B]`` at which each was taken.

    The step is the number of steps where the target probability never reached the confidence.
    """

    images: Tensor
    codes: Tensor
    steps: Tensor


def search(
    generate: Map,
    codes: Tensor,
    classifier: Classifier,
    images: Tensor,
    targets: Tensor,
    *,
    proximity: float,
    steps: int,
    rate: float | Tensor,
    confidence: float,
    project: Map | None = None,
) -> Found:
    """Minimise ``CE(F(G(z)), t) + weight * |G(z) - x|_1 / size`` over z, by Adam, under a falling weight.

    The weight of step k is ``proximity * (1 - k / steps)``, so that each query is taken while the distance still weighs
    about as much as it can. That is at the first step at which F gives its image, rounded to 8 bits as it will be
    stored, at least ``confidence`` of the target, or else at the last; what was taken is not made or classified again.

    Args:
        generate: G, differentiable: images ``[B, C, H, W]`` of codes ``[B, K]``, each of its own code alone.
        codes: where z starts. images: queries x. targets: t, ``[B]``.
        proximity: weight of the distance at first, 0 for none. steps: at least 1.
        rate: Adam's learning rate, one for all of a code or ``[K]``; what has 0 stays.
        project: brings codes back to where they may be, after every step.
    """

    def objective(made: Tensor, codes: Tensor, places: Tensor, left: float) -> tuple[Tensor, Tensor]:
        logits = classifier(made)
        loss = F.cross_entropy(logits, targets[places], reduction="none")
        return loss + proximity * left * (made - images[places]).abs().flatten(1).mean(1), logits

    return descend(
        generate,
        codes,
        objective,
        classifier,
        targets,
        steps=steps,
        rate=rate,
        confidence=confidence,
        project=project,
    )


def descend(
    generate: Map,
    codes: Tensor,
    objective: Objective,
    classifier: Classifier,
    targets: Tensor,
    *,
    steps: int,
    rate: float | Tensor,
    confidence: float,
    project: Map | None = None,
) -> Found:
    """Minimise an objective over codes, by Adam, until the target is sure; see :func:`search`, which is a case of it.

    Args:
        codes: where they start. targets: class asked for of each code, ``[B]``.
        objective: what is minimised, the sum of its losses. Codes of images that were taken stay as they were then.
    """
    moving = codes.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([moving], lr=1.0)
    images = codes.new_empty(0)
    taken_at = codes.new_full((len(codes),), steps)
    open_ = torch.arange(len(codes), device=codes.device)
    for step in range(steps + 1):
        made = generate(moving[open_])
        loss, logits = objective(made, moving, open_, 1 - step / steps)
        if not step:
            images = torch.empty_like(made.detach())
        arrived = logits.detach().softmax(1).gather(1, targets[open_, None])[:, 0] >= confidence
        if arrived.any():
            stored = dequantise(quantise(made.detach()[arrived]))
            with torch.no_grad():
                chances = classifier.probabilities(stored).gather(1, targets[open_[arrived], None])[:, 0]
            arrived[arrived.clone()] = chances >= confidence
        taken_at[open_[arrived]] = step
        taken = arrived if step < steps else torch.ones_like(arrived)
        images[open_[taken]] = made.detach()[taken]
        open_ = open_[~taken]
        if not len(open_):
            break
        (moving.grad,) = torch.autograd.grad(loss[~taken].sum(), moving)
        before = moving.detach().clone()
        optimiser.step()
        with torch.no_grad():
            moved = before + rate * (moving - before)
            moved = moved if project is None else project(moved)
            moving.copy_(before)
            moving[open_] = moved[open_]
    return Found(images, moving.detach(), taken_at)
