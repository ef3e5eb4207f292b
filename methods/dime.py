"""DiME: denoising guided by the classifier's gradients at clean estimates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.denoising import Chain
from cfbench.errors import InvalidParameter
from cfbench.images import dequantise, quantise
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import Diffusion
from cfbench.view import MethodView


def log_probability(logits: Tensor, targets: Tensor) -> Tensor:
    return -F.cross_entropy(logits, targets, reduction="none")


def log_odds(logits: Tensor, targets: Tensor) -> Tensor:
    """log(p_t / (1 - p_t)), whose gradient does not vanish where the target is sure."""
    others = logits.scatter(1, targets[:, None], -torch.inf)
    return logits.gather(1, targets[:, None])[:, 0] - others.logsumexp(1)


PULLS = {"probability": log_probability, "odds": log_odds}
"""What of the target is raised, ``[B]`` of logits ``[B, classes]`` and targets ``[B]``."""


@dataclass(frozen=True)
class Start:
    """Where the denoising of some queries starts.

    Attributes:
        images, targets: the queries x and classes t asked for. values: x in the space of the model.
        noised: ``values`` with the noise of the deepest level. clean: the model's estimate of ``values`` from it.
        features: the classifier's, of x.
    """

    images: Tensor
    targets: Tensor
    values: Tensor
    noised: Tensor
    clean: Tensor
    features: Tensor

    def of(self, rows: Tensor) -> Start:
        """That of the queries ``rows`` alone."""
        return Start(*(each[rows] for each in vars(self).values()))


class DiME(Method):
    """Denoise the query under the pull of gradients taken at clean images (arXiv 2203.15636).

    The query x, with the noise of level ``depth``, goes down the chain of a diffusion model. The mean of each step from
    z_k is moved by ``-variance * (grad [-scale * pull(F(x_k)) + perception * L(x_k)] / sqrt(a_k) + proximity * grad
    |z_k - x|_1)``, where x_k is x at first, and later what a nested denoising makes of z_k. The scales are tried in
    turn, from the same noise, on the queries that are not taken yet. One is taken when its target probability, rounded
    to 8 bits, reaches ``confidence``, or else at the last scale.

    The first step of a nested denoising and the step that it serves share a pass of the model, and all scales share the
    first: a scale costs ``depth * (depth - 1) / 2`` passes where the paper counts ``depth * (depth + 1) / 2``.

    Logs, a query: the scale at which it was taken (``scale``).

    Our reading: the log-odds of the target as the pull, which the authors' code has for two classes and which does not
    fade where the target is likely; with ``probability`` it is the paper's. L is the squared, size-normalised distance
    of the classifier's feature maps to those of x, and off; the paper has a VGG network, with weight 30. Also the
    scales (the paper: 8, 10, 15), the confidence (the paper: until flipped), and that the last step, which has no
    variance, is not pulled. Where the model works in latents, so does ``|z_k - x|_1``.

    Args:
        scales: weights of the pull, tried in turn, each above 0.
        proximity: weight of the l1 distance. perception: weight of L. Both at least 0.
        pull: what of the target is raised: its log ``probability`` or its log ``odds``.
        steps: of the whole chain. depth: of them that are gone down, at least 2.
        confidence: target probability at which a query is taken, in (0, 1).
    """

    name = "dime"
    family = "diffusion"
    citation = "Jeanneret, Simon, Jurie: Diffusion models for counterfactual explanations, ACCV 2022, arXiv 2203.15636"
    needs = Needs(gradients=True, networks=("diffusion",))
    batch_size = 50
    quick = {"scales": [8.0, 16.0], "steps": 8, "depth": 4}

    def __init__(
        self,
        *,
        scales: tuple[float, ...] = (2.0, 4.0, 8.0, 12.0),
        proximity: float = 0.3,
        perception: float = 0.0,
        pull: Literal["probability", "odds"] = "odds",
        steps: int = 40,
        depth: int = 20,
        confidence: float = 0.99,
    ) -> None:
        if not scales or min(scales) <= 0 or min(proximity, perception) < 0 or not 0 < confidence < 1 or depth < 2:
            raise InvalidParameter(
                f"scales are {scales}, proximity {proximity}, perception {perception}, confidence {confidence}, depth "
                f"{depth}; expected scales above 0, proximity and perception >= 0, 0 < confidence < 1, depth >= 2"
            )
        self.scales = scales
        self.proximity = proximity
        self.perception = perception
        self.pull = pull
        self.steps = steps
        self.depth = depth
        self.confidence = confidence

    def prepare(self, task: MethodView) -> None:
        self._model = cast(Diffusion, task.network("diffusion"))
        self._chain = Chain(self._model, count=self.steps, depth=self.depth)

    @torch.no_grad()
    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        start = self._start(images, targets)
        found, scales = torch.empty_like(images), images.new_empty(len(images))
        rows = torch.arange(len(images), device=images.device)
        for scale in self.scales:
            made = self._descend(start.of(rows), scale, partial(self._noise, rows))
            found[rows], scales[rows] = made, scale
            chances = self.task.classifier.probabilities(dequantise(quantise(made)))
            rows = rows[chances.gather(1, targets[rows, None])[:, 0] < self.confidence]
            if not len(rows):
                break
        self.log(scale=scales)
        return found

    def _start(self, images: Tensor, targets: Tensor) -> Start:
        chain, model = self._chain, self._model
        values = model.codec.encode(images)
        noised = chain.noised(values, self.random.normal(*model.shape), chain.depth)
        clean = chain.clean(noised, chain.depth)
        features, _ = self._read(images)
        return Start(images, targets, values, noised, clean, features)

    def _noise(self, rows: Tensor) -> Tensor:
        return self.random.normal(*self._model.shape)[rows]

    def _descend(self, start: Start, scale: float, draw: Callable[[], Tensor]) -> Tensor:
        """Images by one denoising under the pull of ``scale``."""
        chain, noised = self._chain, start.noised
        noised = self._step(start, noised, start.clean, start.values, chain.depth, scale, draw)
        for level in range(chain.depth - 1, 1, -1):
            clean = chain.clean(noised, level)
            below = chain.step(noised, clean, level, draw())
            seen = chain.denoise(below, level - 1, noise=draw)
            noised = self._step(start, noised, clean, seen, level, scale, draw)
        return self._model.codec.decode(chain.clean(noised, 1)).clamp(0, 1)

    def _step(
        self,
        start: Start,
        noised: Tensor,
        clean: Tensor,
        seen: Tensor,
        level: int,
        scale: float,
        draw: Callable[[], Tensor],
    ) -> Tensor:
        """x one level below ``noised``, pulled by the gradient at ``seen``."""
        with torch.enable_grad():
            at = seen.detach().requires_grad_()
            features, logits = self._read(self._model.codec.decode(at))
            loss = -scale * PULLS[self.pull](logits, start.targets).sum()
            loss = loss + self.perception * (features - start.features).square().sum()
            (slope,) = torch.autograd.grad(loss, at)
        pull = slope / self._chain.signal(level) + self.proximity * (noised - start.values).sign()
        return self._chain.step(noised, clean, level, draw()) - self._chain.variance(level) * pull

    def _read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The classifier's feature maps, side by side and each over the root of its size, and its logits."""
        if not self.perception:
            return images.new_zeros(len(images), 0), self.task.classifier(images)
        maps, logits = self.task.classifier.outputs(images)
        return torch.cat([each.flatten(1) / math.sqrt(each[0].numel()) for each in maps], dim=1), logits
