"""Generative counterfactual introspection: which attributes of an image must change?"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.images import dequantise, quantise
from cfbench.latents import invert
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import GAN
from cfbench.view import MethodView

TIGHT = 1.2
"""Ratio of a strength that reaches the target to one that does not at which the search for it ends."""


class GCI(Method):
    """Move the attributes of a conditional generator until the classifier sees the target (arXiv 1907.03077).

    The query x is inverted to attributes A and a latent z with I(A, z) near x. From A, its values kept in [0, 1], A'
    minimises ``strength * CE(F(I(A', z)), t) + |I(A', z) - I(A, z)|_1 / size``; the relaxed form moves z too. For each
    query the strength is doubled while a round does not reach the target and bisected after one that did, until it is
    known to a fifth; the image nearest to I(A, z) that reached it is taken, or else the last.

    Logs, a query: by how much each attribute moved (``moved_<name>``, such as ``moved_Smiling``), the mean absolute
    distances of the counterfactual to the query and to the reconstruction I(A, z) (``distance_query``,
    ``distance_reconstruction``), and that of these two (``inversion_error``).

    Our reading: A are the attributes that a frozen network reads in the query where the generator is made of
    attributes, and weights of the classes where it is made of a class; z is the generator's encoder's, followed by
    ``inversion`` steps on the pixels, with which images came out nearer to the query and convinced fewer oracles; the
    norm; the search for the strength; the confidence, without which images stop at the boundary, where few oracles
    follow.

    Args:
        relaxed: whether the latent moves too.
        confidence: probability of the target class that counts as reached, in (0, 1).
        inversion: steps that bring I(A, z) nearer to the query. steps: of each round, at least 1.
        rounds: of the search for the strength, at least 1. strength: where it starts. rate: Adam's learning rate.
    """

    name = "gci"
    family = "GAN latent search"
    citation = (
        "Liu, Kailkhura, Loveland, Han: Generative counterfactual introspection for explainable deep learning, "
        "GlobalSIP 2019, arXiv 1907.03077"
    )
    needs = Needs(gradients=True, networks=("gan", "attributes"))
    batch_size = 100
    quick = {"inversion": 2, "steps": 3, "rounds": 2}

    def __init__(
        self,
        *,
        relaxed: bool = False,
        confidence: float = 0.99,
        inversion: int = 0,
        steps: int = 100,
        rounds: int = 6,
        strength: float = 0.05,
        rate: float = 0.05,
    ) -> None:
        if not 0 < confidence < 1 or inversion < 0 or min(steps, rounds) < 1 or min(strength, rate) <= 0:
            raise InvalidParameter(
                f"confidence is {confidence}, inversion {inversion}, steps {steps}, rounds {rounds}, strength "
                f"{strength}, rate {rate}; expected 0 < confidence < 1, inversion >= 0, steps and rounds >= 1, others "
                "above 0"
            )
        self.relaxed = relaxed
        self.confidence = confidence
        self.inversion = inversion
        self.steps = steps
        self.rounds = rounds
        self.strength = strength
        self.rate = rate

    def prepare(self, task: MethodView) -> None:
        self._gan = cast(GAN, task.network("gan"))
        readers = task.networks("attributes")
        self._reader = next(iter(readers.values()), None)
        self._names = task.attribute_names if readers else task.class_names

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        attributes = self._attributes(images)
        latents = self._inverted(images, attributes)
        with torch.no_grad():
            start: Tensor = self._gan.generator(latents, attributes)
        low = torch.zeros(len(images), device=images.device)
        high = torch.full_like(low, torch.inf)
        strength = torch.full_like(low, self.strength)
        best, moved = start.clone(), torch.zeros_like(attributes)
        nearest = torch.full_like(low, torch.inf)
        for _ in range(self.rounds):
            open_ = (high > TIGHT * low).nonzero()[:, 0]
            if not len(open_):
                break
            weight = strength[open_]
            made, found, reached = self._round(latents[open_], attributes[open_], start[open_], targets[open_], weight)
            distance = _distance(made, start[open_])
            better = torch.where(reached, distance < nearest[open_], nearest[open_].isinf())
            taken = open_[better]
            best[taken], moved[taken] = made[better], found[better] - attributes[taken]
            nearest[taken] = torch.where(reached, distance, torch.inf)[better]
            low[open_] = torch.where(reached, low[open_], weight)
            high[open_] = torch.where(reached, weight, high[open_])
            strength = torch.where(high.isinf(), strength * 2, (low + high) / 2)
        self.log(
            distance_query=_distance(best, images),
            distance_reconstruction=_distance(best, start),
            inversion_error=_distance(start, images),
            **{f"moved_{name}": column for name, column in zip(self._names, moved.unbind(1), strict=True)},
        )
        return best

    def _attributes(self, images: Tensor) -> Tensor:
        """A of the queries, ``[B, K]`` in [0, 1]: the probabilities of their attributes, or their class alone."""
        if self._reader is None:
            return F.one_hot(self.task.classifier.predict(images), self.task.num_classes).to(images.dtype)
        with torch.no_grad():
            read: Tensor = self._reader(images).sigmoid()
        return read

    def _inverted(self, images: Tensor, attributes: Tensor) -> Tensor:
        """Latents from which the generator makes about ``images``, ``[B, latent]``."""
        with torch.no_grad():
            latents = self._gan.encode(images, attributes)
        return invert(
            lambda moved: cast(Tensor, self._gan.generator(moved, attributes)),
            latents,
            images,
            steps=self.inversion,
            rate=self.rate,
        )

    def _round(
        self, latents: Tensor, attributes: Tensor, start: Tensor, targets: Tensor, strength: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Images, their attributes ``[B, K]`` and whether they reach the target, after a round at given strengths."""
        moving, latent = attributes.clone().requires_grad_(), latents.clone().requires_grad_(self.relaxed)
        optimiser = torch.optim.Adam([moving, latent] if self.relaxed else [moving], lr=self.rate)
        for _ in range(self.steps):
            made = self._gan.generator(latent, moving)
            loss = strength * F.cross_entropy(self.task.classifier(made), targets, reduction="none")
            optimiser.zero_grad()
            (loss + _distance(made, start)).sum().backward()
            optimiser.step()
            with torch.no_grad():
                moving.clamp_(0, 1)
        with torch.no_grad():
            made = self._gan.generator(latent, moving)
            chances = self.task.classifier.probabilities(dequantise(quantise(made)))
        return made, moving.detach(), chances.gather(1, targets[:, None])[:, 0] >= self.confidence


def _distance(images: Tensor, others: Tensor) -> Tensor:
    """Mean absolute difference, ``[B]``."""
    return (images - others).abs().flatten(1).mean(1)
