"""Search in the latent space of a conditional generative adversarial network."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.latent_search import search
from cfbench.latents import invert
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import GAN
from cfbench.view import MethodView


class GANLatent(Method):
    """Move what a conditional GAN makes an image of until the classifier sees the target (``vae-latent`` with a GAN).

    A network reads the condition A of the query x where the generator is made of attributes; where it is made of
    classes, A is the class that the classifier gives x. From them and the encoder's latent, z and A, its values kept in
    [0, 1], minimise ``CE(F(G(z, A)), t) + proximity * (1 - k / steps) * |G(z, A) - x|_1 / size`` in step k. An image is
    taken at the first step at which its target probability, rounded to 8 bits, reaches ``confidence``, or else at the
    last.

    Logs, a query: the step at which it was taken (``steps``).

    Our reading: all of it but the search itself; the papers cited move the latent of an unconditional model. Unlike
    ``gci``, it is near to the query rather than to its reconstruction, and stops once the target is reached. z moves
    slowly beside A: 40 images of clothing came out nearer so and convinced more oracles, digits no nearer. z alone,
    ``condition_rate`` 0, must work against the class that the GAN is held to.

    Args:
        proximity: weight of the distance to the query at first, at least 0.
        confidence: target probability at which an image is taken, in (0, 1).
        inversion: steps on z that bring G(z, A) nearer to the query first. steps: of the search, at least 1.
        rate: Adam's learning rate of z. condition_rate: that of A, at least 0.
    """

    name = "gan-latent"
    family = "GAN latent search"
    citation = (
        "Joshi, Koyejo, Vijitbenjaronk, Kim, Ghosh: Towards realistic individual recourse and actionable explanations "
        "in black-box decision making systems, 2019, arXiv 1907.09615; Joshi, Koyejo, Kim, Ghosh: xGEMs: Generating "
        "examplars to explain black-box models, 2018, arXiv 1806.08867"
    )
    needs = Needs(gradients=True, networks=("gan", "attributes"))
    batch_size = 100
    quick = {"inversion": 2, "steps": 5}

    def __init__(
        self,
        *,
        proximity: float = 10.0,
        confidence: float = 0.99,
        inversion: int = 0,
        steps: int = 200,
        rate: float = 0.01,
        condition_rate: float = 0.05,
    ) -> None:
        if min(proximity, inversion, condition_rate) < 0 or not 0 < confidence < 1 or steps < 1 or rate <= 0:
            raise InvalidParameter(
                f"proximity is {proximity}, confidence {confidence}, inversion {inversion}, steps {steps}, rate "
                f"{rate}, condition_rate {condition_rate}; expected proximity, inversion and condition_rate >= 0, "
                "0 < confidence < 1, steps >= 1, rate above 0"
            )
        self.proximity = proximity
        self.confidence = confidence
        self.inversion = inversion
        self.steps = steps
        self.rate = rate
        self.condition_rate = condition_rate

    def prepare(self, task: MethodView) -> None:
        self._gan = cast(GAN, task.network("gan"))
        self._reader = next(iter(task.networks("attributes").values()), None)

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        conditions = self._read(images)
        with torch.no_grad():
            latents = self._gan.encode(images, conditions)
        length = latents.shape[1]

        def generate(codes: Tensor) -> Tensor:
            made: Tensor = self._gan.generator(codes[:, :length], codes[:, length:])
            return made

        latents = invert(
            lambda moved: generate(torch.cat([moved, conditions], dim=1)),
            latents,
            images,
            steps=self.inversion,
            rate=self.rate,
        )
        codes = torch.cat([latents, conditions], dim=1)
        rates = torch.full_like(codes[0], self.rate)
        rates[length:] = self.condition_rate
        found = search(
            generate,
            codes,
            self.task.classifier,
            images,
            targets,
            proximity=self.proximity,
            steps=self.steps,
            rate=rates,
            confidence=self.confidence,
            project=lambda codes: torch.cat([codes[:, :length], codes[:, length:].clamp(0, 1)], dim=1),
        )
        self.log(steps=found.steps)
        return found.images

    def _read(self, images: Tensor) -> Tensor:
        """A of the queries, ``[B, K]`` in [0, 1]: the probabilities of their attributes, or their class alone."""
        if self._reader is None:
            return F.one_hot(self.task.classifier.predict(images), self.task.num_classes).to(images.dtype)
        with torch.no_grad():
            read: Tensor = self._reader(images).sigmoid()
        return read
