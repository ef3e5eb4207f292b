"""Diffusion visual counterfactual explanations: guidance by gradients that are held in a cone."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.denoising import Chain
from cfbench.errors import InvalidParameter
from cfbench.guidance import length, nearest_in_cone, unit
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import Diffusion
from cfbench.view import MethodView


class DVCE(Method):
    """Denoise the query along gradients of a robust classifier that agree with the classifier's (arXiv 2210.11841).

    The query x, with the noise of level ``depth``, goes down the chain of a diffusion model that is told no class. The
    mean mu of a step from z_k is moved by ``variance * |mu| * (target * u - distance * v)``. With x_k, the model's
    estimate of the clean image, u is the direction within ``angle`` of the gradient of log F_t(x_k) that is nearest to
    the gradient of log R_t(x_k), R being an adversarially robust classifier, and v the direction of the gradient of
    ``|x_k - x|_1``; all three with respect to z_k, through the model.

    Costs ``depth`` passes of the model, all but the last with three gradients, and one of F and of R beside each of
    those.

    Our reading: where the two classifiers disagree so much that the projection on the cone is 0, the nearest direction
    of the cone; no pull in the last step, which has no variance; where the model works in latents, lengths are those of
    latents. The paper has weights of 0.1 and 0.15, which flip a third of 40 images of clothing, and half of 200 steps.

    Args:
        target: weight of u, above 0. distance: weight of v, at least 0.
        angle: of the cone, in degrees, 0 to 90; 0 is the classifier's gradient alone.
        steps: of the whole chain. depth: of them that are gone down, at least 2.
    """

    name = "dvce"
    family = "diffusion"
    citation = (
        "Augustin, Boreiko, Croce, Hein: Diffusion visual counterfactual explanations, NeurIPS 2022, arXiv 2210.11841"
    )
    needs = Needs(gradients=True, networks=("diffusion", "robust"))
    batch_size = 50
    quick = {"steps": 6, "depth": 3}

    def __init__(
        self,
        *,
        target: float = 2.5,
        distance: float = 0.5,
        angle: float = 30.0,
        steps: int = 50,
        depth: int = 18,
    ) -> None:
        if target <= 0 or distance < 0 or not 0 <= angle <= 90 or depth < 2:
            raise InvalidParameter(
                f"target is {target}, distance {distance}, angle {angle}, depth {depth}; expected target above 0, "
                "distance >= 0, 0 <= angle <= 90, depth >= 2"
            )
        self.target = target
        self.distance = distance
        self.angle = angle
        self.steps = steps
        self.depth = depth

    def prepare(self, task: MethodView) -> None:
        self._model = cast(Diffusion, task.network("diffusion"))
        self._robust = task.network("robust")
        self._chain = Chain(self._model, count=self.steps, depth=self.depth)

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        chain, codec, shape = self._chain, self._model.codec, self._model.shape
        terms = (
            lambda made: -F.cross_entropy(self.task.classifier(made), targets, reduction="none"),
            lambda made: -F.cross_entropy(self._robust(made), targets, reduction="none"),
            lambda made: (made - images).abs().flatten(1).sum(1),
        )
        noised = chain.noised(codec.encode(images), self.random.normal(*shape), chain.depth)
        for level in range(chain.depth, 1, -1):
            clean, (explained, robust, distance) = chain.slopes(noised, level, terms)
            pull = self.target * nearest_in_cone(robust, explained, self.angle) - self.distance * unit(distance)
            strength = chain.variance(level) * length(chain.mean(noised, clean, level))
            noised = chain.step(noised, clean, level, self.random.normal(*shape)) + strength * pull
        with torch.no_grad():
            return codec.decode(chain.clean(noised, 1)).clamp(0, 1)
