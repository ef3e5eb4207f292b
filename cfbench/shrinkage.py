"""Changes of few pixels: accelerated proximal gradients with a shrinkage step, and a weight searched a query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.images import dequantise, quantise

Term = Callable[[Tensor], Tensor]
"""A smooth term ``[B]``, at least 0, of images ``[B, C, H, W]``."""

RAISE = 10.0
"""Factor by which the weight of the prediction is raised until it is reached."""


def hinge(logits: Tensor, targets: Tensor, margin: float) -> Tensor:
    """``max(0, max_{i != t} Z_i - Z_t + margin)``, ``[B]``: 0 where the target's logit leads by ``margin`` or more."""
    chosen = F.one_hot(targets, logits.shape[1]).bool()
    lead = logits[chosen] - logits.masked_fill(chosen, -torch.inf).amax(1)
    return (margin - lead).clamp_min(0)


def shrink(values: Tensor, threshold: float | Tensor) -> Tensor:
    """The soft threshold ``sign(v) max(0, |v| - threshold)``, which minimises ``|u - v|^2 / 2 + threshold |u|_1``."""
    return values.sign() * (values.abs() - threshold).clamp_min(0)


def elastic_net(change: Tensor, sparsity: float) -> Tensor:
    """``|d|_2^2 + sparsity |d|_1``, both summed over pixels, ``[B]``."""
    flat = change.flatten(1)
    return flat.square().sum(1) + sparsity * flat.abs().sum(1)


@dataclass(frozen=True)
class Sparse:
    """Counterfactuals ``[B, C, H, W]`` and the weights ``[B]`` that made them, NaN where none reached the target."""

    images: Tensor
    weight: Tensor


def search(
    images: Tensor,
    prediction: Term,
    rest: Term,
    *,
    sparsity: float,
    weight: float,
    rounds: int,
    steps: int,
    rate: float,
    least: Tensor | float = 0.0,
) -> Sparse:
    """Find the change d of least ``rest(x + d) + |d|_2^2 + sparsity |d|_1`` whose prediction is reached.

    Every round minimises the same plus ``weight * prediction(x + d)`` from d = 0 on. The weight of each image is raised
    tenfold until a round reaches the prediction, then bisected on a log scale. Of all points at which gradients were
    taken and the prediction was reached, also after rounding to 8 bits, the best is kept; an image that never reaches
    it is left where its last round ended.

    Args:
        images: queries x. prediction: how far images are from it, 0 where they are there. rest: all other smooth terms.
        sparsity: weight of the l1 norm.
        weight: the first weight. rounds, steps, rate: see :func:`descend`.
        least: lower bound of x + d, such as x itself where pixels may only rise.
    """
    count = len(images)
    present = images.new_full((count,), weight)
    low, high = torch.zeros_like(present), torch.full_like(present, torch.inf)
    best, best_cost = images.clone(), torch.full_like(present, torch.inf)
    best_weight = torch.full_like(present, torch.nan)
    last = images
    for _ in range(rounds):
        found, cost, last = descend(
            images, prediction, rest, weight=present, sparsity=sparsity, steps=steps, rate=rate, least=least
        )
        better, reached = cost < best_cost, cost.isfinite()
        best[better], best_cost[better], best_weight[better] = found[better], cost[better], present[better]
        high = torch.where(reached, torch.minimum(high, present), high)
        low = torch.where(reached, low, torch.maximum(low, present))
        bisected = torch.where(low > 0, (low * high).sqrt(), high / RAISE)
        present = torch.where(high.isinf(), present * RAISE, bisected)
    taken = best_cost.isfinite()[:, None, None, None]
    return Sparse(torch.where(taken, best, last), best_weight)


def descend(
    images: Tensor,
    prediction: Term,
    rest: Term,
    *,
    weight: Tensor,
    sparsity: float,
    steps: int,
    rate: float,
    least: Tensor | float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """FISTA on ``weight * prediction + rest + |d|_2^2 + sparsity |d|_1`` within [least, 1] (Beck and Teboulle, 2009).

    ``d_{k+1} = P(S(y_k - a_k grad(y_k)))`` and ``y_{k+1} = P(d_{k+1} + k / (k + 3) (d_{k+1} - d_k))`` with the
    shrinkage S by ``a_k * sparsity``, the projection P and steps ``a_k = rate * sqrt(1 - k / steps)``.

    Returns:
        The point y_k of least cost (all but the prediction) at which the prediction was reached, its cost, infinite
        where there was none, and the last d.
    """
    change = point = torch.zeros_like(images)
    best, best_cost = images.clone(), torch.full_like(weight, torch.inf)
    for step in range(steps):
        moving = point.detach().requires_grad_()
        lack, others = prediction(images + moving), rest(images + moving)
        smooth = weight * lack + others + moving.flatten(1).square().sum(1)
        (gradient,) = torch.autograd.grad(smooth.sum(), moving)
        cost = others.detach() + elastic_net(point, sparsity)
        better = (lack.detach() == 0) & (cost < best_cost)
        if better.any():
            with torch.no_grad():
                better &= prediction(dequantise(quantise(images + point))) == 0
        best[better], best_cost[better] = (images + point)[better], cost[better]
        length = rate * (1 - step / steps) ** 0.5
        moved = shrink(point - length * gradient, length * sparsity).clamp(least - images, 1 - images)
        point = (moved + step / (step + 3) * (moved - change)).clamp(least - images, 1 - images)
        change = moved
    return best.clamp(0, 1), best_cost, (images + change).clamp(0, 1)
