"""Smooth counterfactual explorer: descent through a diffusion model on a smooth copy of the classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.denoising import Chain
from cfbench.errors import InvalidParameter
from cfbench.images import dequantise, quantise
from cfbench.inpainting import blocks, changed, repaint
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import Diffusion
from cfbench.smoothing import smooth_copy
from cfbench.view import MethodView


@dataclass(frozen=True)
class Explored:
    """Counterfactuals ``[B, C, H, W]``, the mask ``[B, 1, H, W]`` they changed in, the step ``[B]`` they were taken."""

    images: Tensor
    mask: Tensor
    steps: Tensor


class SCE(Method):
    """Descend through a diffusion model, on a smooth copy of the classifier, where it changes most (arXiv 2506.14698).

    The copy S is the classifier F with smooth activations, distilled from F's answers. The query x is encoded by the
    noise of level ``depth``, and D denoises it again. Adam moves the noised image z down the gradient of ``CE(S(D(z)),
    t) + proximity * |D(z) - x|_1 / size``. After ``warmup`` steps only what lies inside a mask of the largest changes
    so far, dilated, is denoised, and everything else is the query, as in RePaint (arXiv 2201.09865). From then on an
    image is taken at the first step at which F's target probability of it, rounded to 8 bits, reaches ``confidence``,
    or else at the last.

    A query has ``explanations``, one after the other, from noise of their own: what an earlier one had in its mask is
    locked to the query in the later ones. The first is returned, the others are handed in as well and make the metric
    ``diversity``.

    Costs ``depth`` passes of the diffusion model, with gradients, and one of F, without, a step of an explanation; F's
    answers on the training pool, ``epochs`` times, once on a machine.

    Logs, a query, of the one returned: the step at which it was taken (``steps``), and the share of its pixels in the
    mask (``inside``).

    Our reading: all but these parts. The copy starts at F's weights, with softplus for ReLU; the noise is the same at
    every step of a descent; the mask follows the descent instead of coming after it. On 60 validation queries of
    clothing oracles agree with 86 % at an L1 of .076, with a wider mask (threshold .15, dilation 5) with 88 % at .085.

    Args:
        proximity: weight of the l1 distance, at least 0. rate: Adam's learning rate, above 0.
        iterations: steps of a descent, at least 1. warmup: of them that go without a mask, at least 0.
        confidence: target probability at which an image is taken, in (0, 1).
        steps: of the whole chain. depth: of them that images go through, at least 1.
        threshold: share of the largest change from which on a pixel is inside the mask, in [0, 1]; 0 is all pixels.
        dilation: side of the square around such a pixel that is inside too, odd.
        explanations: of a query, at least 1. epochs: of the distillation, at least 1.
    """

    name = "sce"
    family = "diffusion"
    citation = (
        "Bender, Herrmann, Müller, Montavon: Towards desiderata-driven design of visual counterfactual explainers, "
        "2025, arXiv 2506.14698"
    )
    needs = Needs(gradients=True, training_data=True, networks=("diffusion",))
    batch_size = 50
    quick = {"iterations": 4, "warmup": 2, "steps": 8, "depth": 2, "epochs": 1}

    def __init__(
        self,
        *,
        proximity: float = 5.0,
        rate: float = 0.1,
        iterations: int = 30,
        warmup: int = 5,
        confidence: float = 0.999,
        steps: int = 8,
        depth: int = 3,
        threshold: float = 0.3,
        dilation: int = 3,
        explanations: int = 2,
        epochs: int = 2,
    ) -> None:
        if proximity < 0 or rate <= 0 or iterations < 1 or warmup < 0 or not 0 < confidence < 1:
            raise InvalidParameter(
                f"proximity is {proximity}, rate {rate}, iterations {iterations}, warmup {warmup}, confidence "
                f"{confidence}; expected proximity and warmup >= 0, rate above 0, iterations >= 1, 0 < confidence < 1"
            )
        if not 0 <= threshold <= 1 or dilation < 1 or dilation % 2 == 0:
            raise InvalidParameter(
                f"threshold is {threshold}, dilation {dilation}; expected 0 <= threshold <= 1, dilation odd and above 0"
            )
        if min(explanations, epochs) < 1:
            raise InvalidParameter(
                f"explanations is {explanations}, epochs {epochs}; expected explanations and epochs >= 1"
            )
        self.proximity = proximity
        self.rate = rate
        self.iterations = iterations
        self.warmup = warmup
        self.confidence = confidence
        self.steps = steps
        self.depth = depth
        self.threshold = threshold
        self.dilation = dilation
        self.explanations = explanations
        self.epochs = epochs

    def prepare(self, task: MethodView) -> None:
        self._model = cast(Diffusion, task.network("diffusion"))
        self._chain = Chain(self._model, count=self.steps, depth=self.depth)
        self._copy = smooth_copy(task, epochs=self.epochs)

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        free = torch.ones_like(images[:, :1], dtype=torch.bool)
        first = self._explore(images, targets, free)
        free, others = ~first.mask, []
        for _ in range(1, self.explanations):
            found = self._explore(images, targets, free)
            free = free & ~found.mask
            others.append(found.images)
        if others:
            self.also(torch.stack(others, dim=1))
        self.log(steps=first.steps, inside=first.mask.float().flatten(1).mean(1))
        return first.images

    def _explore(self, images: Tensor, targets: Tensor, free: Tensor) -> Explored:
        """One counterfactual a query, which differs from it inside ``free``, ``[B, 1, H, W]``, alone."""
        chain, codec, shape = self._chain, self._model.codec, self._model.shape
        values = codec.encode(images)
        codes = chain.noised(values, self.random.normal(*shape), chain.depth).requires_grad_()
        noises = [self.random.normal(*shape) for _ in range(2 * chain.depth)]
        optimiser = torch.optim.Adam([codes], lr=self.rate)
        mask = free.clone()
        found, steps = torch.empty_like(images), images.new_full((len(images),), self.iterations)
        rows = torch.arange(len(images), device=images.device)
        for step in range(self.iterations + 1):
            made = self._denoised(images[rows], values[rows], codes[rows], mask[rows], [each[rows] for each in noises])
            found[rows] = made.detach()
            sure = self._sure(made.detach(), targets[rows]) if step >= self.warmup else torch.zeros_like(rows).bool()
            steps[rows[sure]] = step
            if sure.all() or step == self.iterations:
                break
            loss = F.cross_entropy(self._copy(made), targets[rows], reduction="none")
            loss = loss + self.proximity * (made - images[rows]).abs().flatten(1).mean(1)
            (codes.grad,) = torch.autograd.grad(loss[~sure].sum(), codes)
            optimiser.step()
            rows = rows[~sure]
            if step + 1 >= self.warmup:
                most = changed(found[rows], images[rows], threshold=self.threshold, dilation=self.dilation)
                mask[rows] = most & free[rows]
        return Explored(found, mask, steps)

    def _denoised(self, images: Tensor, values: Tensor, codes: Tensor, mask: Tensor, noises: list[Tensor]) -> Tensor:
        """Images by D inside a mask, the queries outside, as a function of ``codes``."""
        codec, noise = self._model.codec, iter(noises)
        made = repaint(self._chain, codes, values, blocks(mask, codec.scale), lambda: next(noise))
        return torch.where(mask, codec.decode(made).clamp(0, 1), images)

    def _sure(self, made: Tensor, targets: Tensor) -> Tensor:
        """Whether F is sure of the target in the images as they will be stored, ``[B]``."""
        with torch.no_grad():
            chances = self.task.classifier.probabilities(dequantise(quantise(made)))
        return chances.gather(1, targets[:, None])[:, 0] >= self.confidence
