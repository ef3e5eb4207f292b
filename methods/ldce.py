"""Latent diffusion counterfactual explanations: guidance where the classifier and the model agree."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.conditions import Condition
from cfbench.denoising import Chain
from cfbench.errors import InvalidParameter
from cfbench.guidance import consensus, length, unit
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import Diffusion
from cfbench.view import MethodView


class LDCE(Method):
    """Denoise the query along the classifier's gradient where a conditional model agrees with it (arXiv 2310.06668).

    The query x, with the noise of level ``depth``, goes down the chain of a diffusion model by steps of DDIM. x_k is
    the model's estimate of the clean image, told no class, and i what the estimate gains when the model is told the
    target (its implicit classifier). Each estimate is moved by ``|i| * (target * u - distance * v)``: u is the
    direction of the gradient of log F_t(x_k), set to 0 at the positions where it is more than ``angle`` away from i,
    and v that of the gradient of ``|x_k - x|_1``, both with respect to the noised image, through the model. The paper
    moves the predicted noise, which comes to the same.

    A model of attributes is told those that a network reads in x, with the target's own as asked for.

    Costs two passes of the model a level, one of them with two gradients, and one of F.

    Our reading: all weights, for which the paper has 6 and 0.75 (guidance 3 times 2 and 0.25), and 171 to 251 of 500
    steps; an angle of 55 degrees, where it has 40 to 55: with four values at a position, few positions agree.

    Args:
        target: weight of u, above 0. distance: weight of v, at least 0.
        angle: between gradients that agree, in degrees, 0 to 180; 180 is all positions.
        steps: of the whole chain. depth: of them that are gone down, at least 1.
    """

    name = "ldce"
    family = "diffusion"
    citation = "Farid, Schrodi, Argus, Brox: Latent diffusion counterfactual explanations, 2023, arXiv 2310.06668"
    needs = Needs(gradients=True, networks=("diffusion", "attributes"))
    batch_size = 50
    quick = {"steps": 6, "depth": 3}

    def __init__(
        self,
        *,
        target: float = 20.0,
        distance: float = 10.0,
        angle: float = 55.0,
        steps: int = 40,
        depth: int = 32,
    ) -> None:
        if target <= 0 or distance < 0 or not 0 <= angle <= 180:
            raise InvalidParameter(
                f"target is {target}, distance {distance}, angle {angle}; expected target above 0, distance >= 0, "
                "0 <= angle <= 180"
            )
        self.target = target
        self.distance = distance
        self.angle = angle
        self.steps = steps
        self.depth = depth

    def prepare(self, task: MethodView) -> None:
        self._model = cast(Diffusion, task.network("diffusion"))
        self._condition = Condition(task, self._model)
        self._chain = Chain(self._model, count=self.steps, depth=self.depth)

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        chain, model = self._chain, self._model
        asked = self._condition(images, targets)
        terms = (
            lambda made: -F.cross_entropy(self.task.classifier(made), targets, reduction="none"),
            lambda made: (made - images).abs().flatten(1).sum(1),
        )
        noised = chain.noised(model.codec.encode(images), self.random.normal(*model.shape), chain.depth)
        for level in range(chain.depth, 0, -1):
            clean, (explained, distance) = chain.slopes(noised, level, terms)
            with torch.no_grad():
                implicit = chain.clean(noised, level, asked) - clean
            agreed = unit(consensus(explained, implicit, self.angle))
            moved = clean + length(implicit) * (self.target * agreed - self.distance * unit(distance))
            noised = chain.straight(noised, moved, level)
        return model.codec.decode(noised).clamp(0, 1)
