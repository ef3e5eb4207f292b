"""Counterfactuals by feature inversion: per-image optimisation under a prior, from which finished images drop out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.classifier import Classifier
from cfbench.errors import InvalidParameter
from cfbench.matching import mean_square
from cfbench.priors import Prior

WORTH_LEAVING = 0.75
"""Share of the batch still at work at which the others are taken out of it; taking out copies every weight."""

RISE = 10
"""Steps over which the learning rate of a reconstruction rises, so that Adam's first steps do not scatter it."""


class Consistency(Protocol):
    """How unlike its training images a classifier finds an image, from the image's feature maps."""

    def __call__(self, maps: Sequence[Tensor], targets: Tensor, /) -> Tensor:
        """One figure an image, ``[B]``, at least 0, of feature maps and the classes asked for."""


class Descent:
    """Adam on the weights of a prior, one loss an image.

    Args:
        prior: whose weights. rate: learning rate.
    """

    def __init__(self, prior: Prior, rate: float) -> None:
        self.prior = prior
        self._optimiser = torch.optim.Adam(prior.parameters(), lr=rate, fused=True)

    def step(self, losses: Tensor, rate: float | None = None) -> None:
        """Take one step for ``losses`` [B], from here on at ``rate`` if one is given."""
        if rate is not None:
            self._optimiser.param_groups[0]["lr"] = rate
        self._optimiser.zero_grad()
        losses.sum().backward()
        self._optimiser.step()

    def keep(self, kept: Tensor) -> None:
        """Go on with the images of ``kept`` [b], indices."""
        states = [self._optimiser.state.get(weight) for weight in self.prior.parameters()]
        [settings] = self._optimiser.param_groups
        self.prior.keep(kept)
        self._optimiser = torch.optim.Adam(self.prior.parameters(), lr=settings["lr"], fused=True)
        for weight, state in zip(self.prior.parameters(), states, strict=True):
            if state:
                averages = {
                    name: state[name][kept].expand_as(weight).contiguous() for name in ("exp_avg", "exp_avg_sq")
                }
                self._optimiser.state[weight] = {**state, **averages}


def reconstruct(prior: Prior, images: Tensor, *, steps: int, rate: float) -> None:
    """Fit a prior to ``images`` [B, C, H, W] by mean squared error.

    The learning rate rises to ``rate`` within ``RISE`` steps and falls to 0 as a cosine (ours).

    Args:
        steps: at least 0. rate: Adam's highest learning rate.
    """
    descent = Descent(prior, rate)
    for step in range(steps):
        present = rate * min(1, (step + 1) / RISE) * (1 + math.cos(math.pi * step / steps)) / 2
        descent.step(mean_square(prior(), images), present)


@dataclass(frozen=True)
class Stage:
    """Where a staged schedule is: weight of each feature map's match, weight of the target, and free layers' share."""

    maps: Sequence[float]
    target: float
    free: float = 1.0


Schedule = Callable[[float, int], Stage]
"""Gives the stage at a share of the steps, in [0, 1), for a number of feature maps."""


def unstaged(share: float, maps: int) -> Stage:
    """Everything at once."""
    return Stage([1.0] * maps, 1.0)


def deep_first(share: float, maps: int) -> Stage:
    """Match only the deepest map at first, then one more at equal intervals over the first half (ours)."""
    matched = 1 + int(min(2 * share, 1.0) * (maps - 1))
    return Stage([0.0] * (maps - matched) + [1.0] * matched, 1.0)


def ramped(share: float, maps: int) -> Stage:
    """Raise the target's weight linearly from a tenth to all over the first half (ours)."""
    return Stage([1.0] * maps, 0.1 + 0.9 * min(2 * share, 1.0))


def freed(share: float, maps: int) -> Stage:
    """Free the prior's layers one by one over the first half, those next to the image first (ours)."""
    return Stage([1.0] * maps, 1.0, free=min(2 * share, 1.0))


SCHEDULES: dict[str, Schedule] = {"off": unstaged, "layers": deep_first, "target": ramped, "weights": freed}
"""Staged schedules by name."""


class Objective:
    """What a counterfactual should be, as a loss an image.

    ``matching * sum_l w_l |Psi_l(x') - Psi_l(x)|^2 / size_l + target * CE(F(x'), t) + consistency(x')
    + smooth * TV(x')``

    with the weights w_l and a factor on the second term from the schedule; w_l is 0 outside ``layers``.

    Args:
        classifier: F, whose feature maps Psi_l are read.
        images: queries x ``[B, C, H, W]``. targets: t, ``[B]``.
        matching, target, smooth: weights. consistency: further term, and its weight.
        schedule: how the weights go along.
        layers: the feature maps that are matched, 0 the first; by default all.

    Raises:
        InvalidParameter: the classifier has no such feature map.
    """

    def __init__(
        self,
        classifier: Classifier,
        images: Tensor,
        targets: Tensor,
        *,
        matching: float = 1.0,
        target: float = 1.0,
        smooth: float = 0.0,
        consistency: tuple[Consistency, float] | None = None,
        schedule: Schedule = unstaged,
        layers: Sequence[int] | None = None,
    ) -> None:
        self.classifier = classifier
        self.targets = targets
        self.matching = matching
        self.target = target
        self.smooth = smooth
        self.consistency = consistency
        self.schedule = schedule
        with torch.no_grad():
            self.wanted, _ = classifier.outputs(images)
        self.layers = range(len(self.wanted)) if layers is None else layers
        if unknown := set(self.layers) - set(range(len(self.wanted))):
            raise InvalidParameter(
                f"layers are {list(self.layers)}, and {min(unknown)} is not a feature map of the classifier; expected "
                f"0 to {len(self.wanted) - 1}"
            )

    def stage(self, share: float) -> Stage:
        """The schedule's stage at a share of the steps."""
        stage = self.schedule(share, len(self.wanted))
        matched = [weight if layer in self.layers else 0.0 for layer, weight in enumerate(stage.maps)]
        return replace(stage, maps=matched)

    def keep(self, kept: Tensor) -> None:
        """Go on with the images of ``kept`` [b], indices."""
        self.wanted = [each[kept] for each in self.wanted]
        self.targets = self.targets[kept]

    def __call__(self, images: Tensor, stage: Stage) -> tuple[Tensor, Tensor]:
        """Loss and target probability of each of the present ``images``, both ``[B]``."""
        maps, logits = self.classifier.outputs(images)
        loss = self.target * stage.target * F.cross_entropy(logits, self.targets, reduction="none")
        for have, want, weight in zip(maps, self.wanted, stage.maps, strict=True):
            if weight:
                loss = loss + self.matching * weight * mean_square(have, want)
        if self.consistency is not None:
            term, weight = self.consistency
            loss = loss + weight * term(maps, self.targets)
        if self.smooth:
            loss = loss + self.smooth * total_variation(images)
        return loss, logits.detach().softmax(1).gather(1, self.targets[:, None])[:, 0]


def total_variation(images: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels of ``[B, C, H, W]``, in both directions together, ``[B]``."""
    return sum(images.diff(dim=dim).abs().flatten(1).mean(1) for dim in (2, 3))  # type: ignore[return-value]


@dataclass(frozen=True)
class Found:
    """Counterfactuals ``[B, C, H, W]``, NaN where the optimisation diverged, and steps ``[B]``.

    A step is the one at which an image was taken, or the number of steps where it never was sure enough.
    """

    images: Tensor
    steps: Tensor


def descend(prior: Prior, objective: Objective, *, steps: int, rate: float, confidence: float) -> Found:
    """Minimise ``objective`` over the weights of ``prior``.

    An image is taken at the first step at which its target probability reaches ``confidence``, or else at the last;
    images that were taken leave the batch, so that no more work goes into them. One whose loss is not finite is taken
    as NaN and leaves before the step, because grouped kernels would spread its gradient to the others.

    Args:
        prior: makes the images, and starts where it is. steps: at least 1. rate: Adam's learning rate.
    """
    descent = Descent(prior, rate)
    layers = list(reversed(prior.layers()))
    taken = torch.full_like(prior().detach(), torch.nan)
    step_taken = torch.full((len(taken),), steps, device=taken.device)
    places = torch.arange(len(taken), device=taken.device)
    waiting = torch.ones_like(places, dtype=torch.bool)

    def leave() -> None:
        nonlocal places, waiting
        kept = waiting.nonzero()[:, 0]
        descent.keep(kept)
        objective.keep(kept)
        places, waiting = places[kept], waiting[kept]

    for step in range(steps):
        stage = objective.stage(step / steps)
        _free(layers, stage.free)
        images = prior()
        losses, probability = objective(images, stage)
        lost = waiting & ~losses.detach().isfinite()
        if lost.any():
            step_taken[places[lost]] = step
            waiting = waiting & ~lost
            if not waiting.any():
                break
            leave()
            images = prior()
            losses, probability = objective(images, stage)
        reached = waiting & (probability >= confidence)
        arrived = waiting if step == steps - 1 else reached
        taken[places[arrived]] = images.detach()[arrived]
        step_taken[places[reached]] = step
        waiting = waiting & ~arrived
        left = int(waiting.sum())
        if not left:
            break
        descent.step(losses)
        if left <= WORTH_LEAVING * len(waiting):
            leave()
    return Found(taken, step_taken)


def _free(layers: Sequence[torch.nn.Module], share: float) -> None:
    """Let gradients reach the first ``share`` of ``layers``, at least one, and no others."""
    free = max(1, round(share * len(layers)))
    for index, layer in enumerate(layers):
        layer.requires_grad_(index < free)
