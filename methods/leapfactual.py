"""LeapFactual: leaps between classes by conditional flow matching in the latent space of a VAE."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.fitted import fitted
from cfbench.flow_matching import Velocity, fit_velocity, land, lift
from cfbench.images import dequantise, quantise
from cfbench.latent_search import Found
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import VAE
from cfbench.networks.conditions import as_weights
from cfbench.view import MethodView

PART = 500
"""Images of the pool a pass."""
BATCH = 256
RATE = 5e-3
"""Codes a step and Adam's rate in fitting the flow, as in the paper's appendix B.1.2."""


class LeapFactual(Method):
    """Take the classifier's class out of the latent of a VAE and put the target in (LeapFactual, arXiv 2510.14623).

    A flow v(t, z, c), fitted once on the training pool and kept, carries noise at t = 0 to latents of images of class c
    at t = 1. A leap lifts z under the class that F sees in G(z) (``dz = gamma * v dt`` from t = 1 to 0) and lands it
    under the target (t from 0 to 1). From the encoder's mean of the query, ``leaps`` blending leaps have gamma =
    ``strength`` both ways (algorithm 2, step 2); then ``injections`` leaps have ``lift_strength`` and
    ``land_strength`` (step 3, LeapFactual_R). No gradient of F is used.

    Logs, a query: the number of its leaps (``leaps``).

    Our reading: c are F's probabilities, as in the authors' code for digits, where the paper writes of the predicted
    class; latents are drawn from the encoder's distribution in fitting; an image leaves the blending when its target
    probability, rounded to 8 bits, reaches ``confidence``; an image that no longer is of the target after a leap keeps
    what it was before; the midpoint rule, the width and length of the fit.

    Args:
        strength: gamma of a blending leap, in (0, 1]. leaps: blending leaps at most, at least 1.
        confidence: target probability at which an image leaves the blending, in (0, 1]; 1 for all leaps.
        injections: leaps after that, at least 0. lift_strength, land_strength: their gammas, the first the smaller.
        steps: of the midpoint rule, each way of a leap, at least 1.
        width: units of the flow's hidden layers. fit_steps: of Adam in fitting it, at least 1.
    """

    name = "leapfactual"
    family = "VAE latent flow"
    citation = (
        "Cao, Zhao, Krieger, Scharr, Assent: LeapFactual: Reliable visual counterfactual explanation using conditional "
        "flow matching, NeurIPS 2025, arXiv 2510.14623"
    )
    needs = Needs(training_data=True, networks=("vae",))
    batch_size = 100
    quick = {"leaps": 3, "steps": 1, "width": 8, "fit_steps": 20}

    def __init__(
        self,
        *,
        strength: float = 0.2,
        leaps: int = 40,
        confidence: float = 0.95,
        injections: int = 0,
        lift_strength: float = 0.0,
        land_strength: float = 0.1,
        steps: int = 2,
        width: int = 256,
        fit_steps: int = 2400,
    ) -> None:
        if (
            not 0 < strength <= 1
            or not 0 < confidence <= 1
            or min(leaps, steps, width, fit_steps) < 1
            or injections < 0
            or not 0 <= lift_strength < land_strength
        ):
            raise InvalidParameter(
                f"strength is {strength}, leaps {leaps}, confidence {confidence}, injections {injections}, "
                f"lift_strength {lift_strength}, land_strength {land_strength}, steps {steps}, width {width}, "
                f"fit_steps {fit_steps}; expected strength and confidence above 0 and at most 1, injections >= 0, "
                "0 <= lift_strength < land_strength, others >= 1"
            )
        self.strength = strength
        self.leaps = leaps
        self.confidence = confidence
        self.injections = injections
        self.lift_strength = lift_strength
        self.land_strength = land_strength
        self.steps = steps
        self.width = width
        self.fit_steps = fit_steps

    def prepare(self, task: MethodView) -> None:
        self._vae = vae = cast(VAE, task.network("vae"))
        pool = task.training_data().images
        parts = pool.split(PART)
        with torch.no_grad():
            chances = torch.cat([task.classifier.probabilities(dequantise(part)) for part in parts])

        def fit(velocity: Velocity) -> None:
            with torch.no_grad():
                means, logvars = map(torch.cat, zip(*(vae.encode(dequantise(part)) for part in parts), strict=True))
            deviations = (logvars / 2).exp()
            fit_velocity(velocity, means, deviations, chances, steps=self.fit_steps, batch=BATCH, rate=RATE)

        self._velocity = fitted(
            "leapfactual",
            lambda: Velocity(codes=vae.latent, conditions=task.num_classes, width=self.width).to(task.device),
            fit,
            {"vae": vae.state_dict(), "images": pool, "chances": chances, "steps": self.fit_steps},
        )

    @torch.no_grad()
    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        codes, _ = self._vae.encode(images)
        found = self._leap(codes, targets, self.leaps, (self.strength, self.strength), self.confidence)
        leaps = found.steps
        if self.injections:
            strengths = self.lift_strength, self.land_strength
            found = self._leap(found.codes, targets, self.injections, strengths, math.inf)
            leaps = leaps + found.steps
        self.log(leaps=leaps)
        return found.images

    def _leap(
        self, codes: Tensor, targets: Tensor, leaps: int, strengths: tuple[float, float], confidence: float
    ) -> Found:
        """Leaps from each code until its image is of the target with ``confidence``; the last image that is of it."""
        goals = as_weights(targets, self.task.num_classes)
        images = self._vae.decode(codes)
        found = Found(images.clone(), codes.clone(), codes.new_zeros(len(codes)))
        flipped = torch.zeros_like(targets, dtype=torch.bool)
        open_ = torch.arange(len(codes), device=codes.device)
        for leap in range(leaps + 1):
            stored = dequantise(quantise(images))
            chances = self.task.classifier.probabilities(stored)
            arrived = chances.argmax(1) == targets[open_]
            kept = arrived | ~flipped[open_]
            found.images[open_[kept]], found.codes[open_[kept]] = stored[kept], codes[kept]
            found.steps[open_] = leap
            flipped[open_] |= arrived
            going = ~arrived | (chances.gather(1, targets[open_, None])[:, 0] < confidence)
            if leap == leaps or not going.any():
                break
            open_, codes = open_[going], codes[going]
            codes = lift(self._velocity, codes, chances[going], strength=strengths[0], steps=self.steps)
            codes = land(self._velocity, codes, goals[open_], strength=strengths[1], steps=self.steps)
            images = self._vae.decode(codes)
        return found
