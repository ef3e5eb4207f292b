"""Changes that a variational autoencoder knows, put on the query itself."""

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


class LatentShift(Method):
    """Put on the query what changes in a VAE's picture of it, until the classifier is sure of the target.

    Built for the properties in reports/properties.md. With the VAE's encoder E and decoder G, the counterfactual of x
    is ``x' = x + G(z) - G(E(x))``, clipped to [0, 1]: a difference of two pictures that the VAE can draw (meaningful),
    on the query's own pixels, so that what it cannot draw is neither lost nor paid for (close). From E(x), z minimises
    ``CE(F(x'), t) + weight * |x' - x|_1 / size``, with the weight ``proximity * (1 - k / steps)`` in step k. An image
    is taken at the first step at which its target probability, rounded to 8 bits, reaches ``confidence``, or else at
    the last. A query of which F is that sure is its own counterfactual, and no random numbers are drawn (stable).

    Logs, a query: the step at which it was taken (``steps``).

    Args:
        proximity: weight of the distance to the query at first, at least 0.
        confidence: target probability at which an image is taken, in (0, 1).
        steps: of the search, at least 1. rate: Adam's learning rate.
    """

    name = "latent-shift"
    family = "VAE latent search"
    citation = "cfbench: a method for the properties in reports/properties.md, not published elsewhere"
    needs = Needs(gradients=True, networks=("vae",))
    batch_size = 100
    quick = {"steps": 5}

    def __init__(
        self, *, proximity: float = 30.0, confidence: float = 0.99, steps: int = 200, rate: float = 0.1
    ) -> None:
        if proximity < 0 or not 0 < confidence < 1 or steps < 1 or rate <= 0:
            raise InvalidParameter(
                f"proximity is {proximity}, confidence {confidence}, steps {steps}, rate {rate}; expected "
                "proximity >= 0, 0 < confidence < 1, steps >= 1, rate above 0"
            )
        self.proximity = proximity
        self.confidence = confidence
        self.steps = steps
        self.rate = rate

    def prepare(self, task: MethodView) -> None:
        self._vae = cast(VAE, task.network("vae"))

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            start, _ = self._vae.encode(images)
            rows = torch.arange(len(images), device=start.device, dtype=start.dtype)
            codes = torch.cat([start, rows[:, None]], dim=1)
            drawn = self._vae.decode(codes[:, :-1])

        def generate(codes: Tensor) -> Tensor:
            row = codes[:, -1].long()
            return (images[row] + (self._vae.decode(codes[:, :-1]) - drawn[row])).clamp(0, 1)

        found = search(
            generate,
            codes,
            self.task.classifier,
            images,
            targets,
            proximity=self.proximity,
            steps=self.steps,
            rate=torch.cat([torch.full_like(start[0], self.rate), start.new_zeros(1)]),
            confidence=self.confidence,
        )
        self.log(steps=found.steps)
        return found.images
