"""Gradient ascent of the target's probability in a latent space."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.latent_search import search
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import VAE
from cfbench.view import MethodView


class Diffeomorphic(Method):
    """Ascend ``log F_t(G(z))`` in the latent of a VAE until the target is sure (arXiv 2206.05075).

    From the encoder's mean of the query, z goes along the gradient of the target's log-probability, ``z <- z + rate *
    Adam(grad_z log F_t(G(z)))``, and nothing holds it near the query but the path: G, the decoder, bends the gradient
    along the images that it can make. An image is taken at the first step at which its target probability, rounded to 8
    bits, reaches ``confidence``, or else at the last.

    Logs, a query: the step at which it was taken (``steps``).

    Our reading: a VAE, with which the paper's guarantees for invertible generators (flows) hold only nearly; the
    learning rate and number of steps. Adam and the confidence are those of the authors' code.

    Args:
        confidence: target probability at which an image is taken, in (0, 1).
        steps: of the ascent, at least 1. rate: Adam's learning rate.
    """

    name = "diffeomorphic"
    family = "VAE latent search"
    citation = (
        "Dombrowski, Gerken, Müller, Kessel: Diffeomorphic counterfactuals with generative models, "
        "2022, arXiv 2206.05075"
    )
    needs = Needs(gradients=True, networks=("vae",))
    batch_size = 100
    quick = {"steps": 5}

    def __init__(self, *, confidence: float = 0.99, steps: int = 300, rate: float = 0.05) -> None:
        if not 0 < confidence < 1 or steps < 1 or rate <= 0:
            raise InvalidParameter(
                f"confidence is {confidence}, steps {steps}, rate {rate}; expected 0 < confidence < 1, steps >= 1, "
                "rate above 0"
            )
        self.confidence = confidence
        self.steps = steps
        self.rate = rate

    def prepare(self, task: MethodView) -> None:
        self._vae = cast(VAE, task.network("vae"))

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            start, _ = self._vae.encode(images)
        found = search(
            self._vae.decode,
            start,
            self.task.classifier,
            images,
            targets,
            proximity=0.0,
            steps=self.steps,
            rate=self.rate,
            confidence=self.confidence,
        )
        self.log(steps=found.steps)
        return found.images
