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
    moving = codes.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([moving], lr=1.0)
    found = Found(torch.empty_like(images), moving.detach().clone(), images.new_full((len(images),), steps))
    open_ = torch.arange(len(images), device=images.device)
    for step in range(steps + 1):
        made = generate(moving[open_])
        logits = classifier(made)
        arrived = logits.detach().softmax(1).gather(1, targets[open_, None])[:, 0] >= confidence
        if arrived.any():
            stored = dequantise(quantise(made.detach()[arrived]))
            with torch.no_grad():
                chances = classifier.probabilities(stored).gather(1, targets[open_[arrived], None])[:, 0]
            arrived[arrived.clone()] = chances >= confidence
        found.steps[open_[arrived]] = step
        taken = arrived if step < steps else torch.ones_like(arrived)
        found.images[open_[taken]] = made.detach()[taken]
        found.codes[open_[taken]] = moving.detach()[open_[taken]]
        if taken.all():
            break
        loss = F.cross_entropy(logits, targets[open_], reduction="none")
        loss = loss + proximity * (1 - step / steps) * (made - images[open_]).abs().flatten(1).mean(1)
        (moving.grad,) = torch.autograd.grad(loss[~taken].sum(), moving)
        before = moving.detach().clone()
        optimiser.step()
        with torch.no_grad():
            moved = before + rate * (moving - before)
            moving.copy_(moved if project is None else project(moved))
        open_ = open_[~taken]
    return found
