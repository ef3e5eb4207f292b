"""Search in the latent space of a variational autoencoder."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.latent_search import search
from cfbench.latents import invert
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import VAE
from cfbench.view import MethodView


class VAELatent(Method):
    """Move the latent of a VAE until the classifier sees the target (REVISE, arXiv 1907.09615; xGEM, arXiv 1806.08867).

    From the encoder's mean of the query x, z minimises ``CE(F(G(z)), t) + weight * |G(z) - x|_1 / size``, G being the
    decoder, with the weight ``proximity * (1 - k / steps)`` in step k. An image is taken at the first step at which its
    target probability, rounded to 8 bits, reaches ``confidence``, or else at the last.

    Logs, a query: the step at which it was taken (``steps``).

    Our reading: Adam, the mean over pixels, the weight and its fall, the confidence, without which images stop at the
    boundary, and ``inversion`` steps on the pixels before the search.

    Args:
        proximity: weight of the distance to the query at first, at least 0.
        confidence: target probability at which an image is taken, in (0, 1).
        inversion: steps that bring G(z) nearer to the query first. steps: of the search, at least 1.
        rate: Adam's learning rate of both.
    """

    name = "vae-latent"
    family = "VAE latent search"
    citation = (
        "Joshi, Koyejo, Vijitbenjaronk, Kim, Ghosh: Towards realistic individual recourse and actionable explanations "
        "in black-box decision making systems, 2019, arXiv 1907.09615; Joshi, Koyejo, Kim, Ghosh: xGEMs: Generating "
        "examplars to explain black-box models, 2018, arXiv 1806.08867"
    )
    needs = Needs(gradients=True, networks=("vae",))
    batch_size = 100
    quick = {"inversion": 2, "steps": 5}

    def __init__(
        self,
        *,
        proximity: float = 10.0,
        confidence: float = 0.99,
        inversion: int = 0,
        steps: int = 200,
        rate: float = 0.05,
    ) -> None:
        if proximity < 0 or not 0 < confidence < 1 or inversion < 0 or steps < 1 or rate <= 0:
            raise InvalidParameter(
                f"proximity is {proximity}, confidence {confidence}, inversion {inversion}, steps {steps}, rate "
                f"{rate}; expected proximity and inversion >= 0, 0 < confidence < 1, steps >= 1, rate above 0"
            )
        self.proximity = proximity
        self.confidence = confidence
        self.inversion = inversion
        self.steps = steps
        self.rate = rate

    def prepare(self, task: MethodView) -> None:
        self._vae = cast(VAE, task.network("vae"))

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            start, _ = self._vae.encode(images)
        found = search(
            self._vae.decode,
            invert(self._vae.decode, start, images, steps=self.inversion, rate=self.rate),
            self.task.classifier,
            images,
            targets,
            proximity=self.proximity,
            steps=self.steps,
            rate=self.rate,
            confidence=self.confidence,
        )
        self.log(steps=found.steps)
        return found.images
