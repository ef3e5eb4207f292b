"""Several diverse counterfactuals of a query in the latent space of a variational autoencoder."""

from __future__ import annotations

from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.images import dequantise, quantise
from cfbench.latent_search import descend
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import VAE
from cfbench.view import MethodView

SPREAD = 0.01
"""Standard deviation of the perturbations at first."""


class DiVE(Method):
    """Several perturbations of the latent that all reach the target and point in different directions (2103.10226).

    From the encoder's mean z of the query x, perturbations e_1 .. e_K minimise together ``sum_i [CE(F(G(z + e_i)), t) +
    (1 - k / steps) * (reconstruction * |G(z + e_i) - x|_1 / size + sparsity * |e_i|_1)] + diversity * sum_{i != j}
    cos^2(e_i, e_j)`` in step k. Each is taken at the first step at which its image, rounded to 8 bits, has at least
    ``confidence`` of the target, or else at the last. Of those that are as sure the nearest to the query is returned,
    without any the surest; the others are handed in as well and make the metric ``diversity``.

    What the classifier looks at most would change in all of them. With masks, the elements of z are ranked by the
    diagonal of the Fisher information ``sum_c F_c(G(z)) (d log F_c(G(z)) / dz)^2`` and dealt into K groups in that
    order; e_i leaves the i-th as it is (the paper's variant by the diagonal).

    Logs, a query: the step at which the one returned was taken (``steps``), how many are as sure (``sure``).

    Our reading: several classes, the information at the query alone, the weights and their fall, the confidence, and
    which one is returned.

    Args:
        explanations: K, at least 2. masks: ``fisher`` or ``none``.
        reconstruction, sparsity: weights of the distances at first, at least 0. diversity: weight, at least 0.
        confidence: target probability at which an image is taken, in (0, 1).
        steps: at least 1. rate: Adam's learning rate.
    """

    name = "dive"
    family = "VAE latent search"
    citation = (
        "Rodríguez, Caccia, Lacoste, Zamparo, Laradji, Charlin, Vazquez: Beyond trivial counterfactual explanations "
        "with diverse valuable explanations, ICCV 2021, arXiv 2103.10226"
    )
    needs = Needs(gradients=True, networks=("vae",))
    batch_size = 25
    quick = {"explanations": 3, "steps": 3}

    def __init__(
        self,
        *,
        explanations: int = 8,
        masks: Literal["fisher", "none"] = "fisher",
        reconstruction: float = 10.0,
        sparsity: float = 0.01,
        diversity: float = 0.1,
        confidence: float = 0.99,
        steps: int = 50,
        rate: float = 0.1,
    ) -> None:
        if (
            explanations < 2
            or min(reconstruction, sparsity, diversity) < 0
            or not 0 < confidence < 1
            or steps < 1
            or rate <= 0
        ):
            raise InvalidParameter(
                f"explanations is {explanations}, reconstruction {reconstruction}, sparsity {sparsity}, diversity "
                f"{diversity}, confidence {confidence}, steps {steps}, rate {rate}; expected explanations >= 2, "
                "reconstruction, sparsity and diversity >= 0, 0 < confidence < 1, steps >= 1, rate above 0"
            )
        self.explanations = explanations
        self.masks = masks
        self.reconstruction = reconstruction
        self.sparsity = sparsity
        self.diversity = diversity
        self.confidence = confidence
        self.steps = steps
        self.rate = rate

    def prepare(self, task: MethodView) -> None:
        self._vae = cast(VAE, task.network("vae"))

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        count = self.explanations
        with torch.no_grad():
            start, _ = self._vae.encode(images)
        free = self._free(start)
        codes = start[:, None] + SPREAD * self.random.normal(count, start.shape[1]) * free
        anchors, free = start.repeat_interleave(count, dim=0), free.flatten(0, 1)
        asked = targets.repeat_interleave(count)

        def objective(made: Tensor, codes: Tensor, places: Tensor, left: float) -> tuple[Tensor, Tensor]:
            logits = self.task.classifier(made)
            moved = codes - anchors
            directions = F.normalize(moved.view(-1, count, moved.shape[1]), dim=2)
            alike = (directions @ directions.transpose(1, 2)).square().sum(2) - 1
            distance = self.reconstruction * (made - images[places // count]).abs().flatten(1).mean(1)
            distance = distance + self.sparsity * moved[places].abs().sum(1)
            loss = F.cross_entropy(logits, asked[places], reduction="none") + left * distance
            return loss + self.diversity * alike.flatten()[places], logits

        found = descend(
            self._vae.decode,
            codes.flatten(0, 1),
            objective,
            self.task.classifier,
            asked,
            steps=self.steps,
            rate=self.rate,
            confidence=self.confidence,
            project=lambda codes: anchors + (codes - anchors) * free,
        )
        with torch.no_grad():
            chances = self.task.classifier.probabilities(dequantise(quantise(found.images)))
        chances = chances.gather(1, asked[:, None]).view(-1, count)
        made, sure = found.images.unflatten(0, (-1, count)), chances >= self.confidence
        distances = (made - images[:, None]).abs().flatten(2).mean(2)
        order = torch.where(sure, 2 - distances, chances).argsort(dim=1, descending=True)
        made = made.take_along_dim(order[:, :, None, None, None], dim=1)
        self.also(made[:, 1:])
        self.log(steps=found.steps.view(-1, count).take_along_dim(order, dim=1)[:, 0], sure=sure.sum(1))
        return made[:, 0]

    def _free(self, codes: Tensor) -> Tensor:
        """1 where a perturbation may change an element of codes ``[B, z]``, else 0, ``[B, K, z]``."""
        free = codes.new_ones(len(codes), self.explanations, codes.shape[1])
        if self.masks == "fisher":
            ranks = self._information(codes).argsort(dim=1, descending=True).argsort(dim=1)
            groups = ranks * self.explanations // codes.shape[1]
            free.scatter_(1, groups[:, None], 0.0)
        return free

    def _information(self, codes: Tensor) -> Tensor:
        """Diagonal of the Fisher information of the classes about each element of codes, ``[B, z]``."""
        moving = codes.detach().clone().requires_grad_()
        logs = self.task.classifier(self._vae.decode(moving)).log_softmax(1)
        slopes = [torch.autograd.grad(each.sum(), moving, retain_graph=True)[0] for each in logs.unbind(1)]
        return (logs.detach().exp()[:, :, None] * torch.stack(slopes, dim=1).square()).sum(1)
