"""ACE: an adversarial attack through a diffusion model, then inpainting of what it changed most."""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.denoising import Chain
from cfbench.errors import InvalidParameter
from cfbench.inpainting import blocks, changed, repaint
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import Diffusion
from cfbench.view import MethodView


class ACE(Method):
    """Attack the classifier through noise and few steps of denoising, then refine where it changed most (2303.09962).

    First, sign steps of length ``rate`` lead from the query x down the gradient of ``CE(F(D(x')), t) + proximity *
    |x' - x|_1``: D adds noise up to level ``depth`` to the image and denoises it again, with new noise at every step. A
    query leaves the attack when F is sure of the target at ``D(x')``. Then x', noised once more, is denoised inside a
    mask of its largest changes, dilated; everything else is the query, as in RePaint (arXiv 2201.09865).

    Costs ``depth`` passes of the diffusion model, with gradients, a step, and ``depth`` passes at the end.

    Logs, a query: the step at which its attack ended (``steps``).

    Our reading: the end of the attack, for which the paper always takes all its steps; where the model works in
    latents, its mask has every latent in whose square of pixels one is inside.

    Args:
        proximity: weight of the l1 distance, at least 0. rate: of a step, above 0. iterations: at most, at least 1.
        confidence: target probability at which an attack ends, in (0, 1).
        steps: of the whole chain. depth: of them that images go through, at least 1.
        threshold: share of the largest change from which on a pixel is inside the mask, in [0, 1]; 0 is all pixels.
        dilation: side of the square around such a pixel that is inside too, odd.
    """

    name = "ace"
    family = "diffusion"
    citation = "Jeanneret, Simon, Jurie: Adversarial counterfactual visual explanations, CVPR 2023, arXiv 2303.09962"
    needs = Needs(gradients=True, networks=("diffusion",))
    batch_size = 50
    quick = {"iterations": 3, "steps": 8, "depth": 2}

    def __init__(
        self,
        *,
        proximity: float = 0.001,
        rate: float = 0.03,
        iterations: int = 25,
        confidence: float = 0.99,
        steps: int = 20,
        depth: int = 5,
        threshold: float = 0.15,
        dilation: int = 5,
    ) -> None:
        if proximity < 0 or rate <= 0 or iterations < 1 or not 0 < confidence < 1:
            raise InvalidParameter(
                f"proximity is {proximity}, rate {rate}, iterations {iterations}, confidence {confidence}; expected "
                "proximity >= 0, rate above 0, iterations >= 1, 0 < confidence < 1"
            )
        if not 0 <= threshold <= 1 or dilation < 1 or dilation % 2 == 0:
            raise InvalidParameter(
                f"threshold is {threshold}, dilation {dilation}; expected 0 <= threshold <= 1, dilation odd and above 0"
            )
        self.proximity = proximity
        self.rate = rate
        self.iterations = iterations
        self.confidence = confidence
        self.steps = steps
        self.depth = depth
        self.threshold = threshold
        self.dilation = dilation

    def prepare(self, task: MethodView) -> None:
        self._model = cast(Diffusion, task.network("diffusion"))
        self._chain = Chain(self._model, count=self.steps, depth=self.depth)

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        attacked = self._attack(images, targets)
        chain, codec = self._chain, self._model.codec
        mask = changed(attacked, images, threshold=self.threshold, dilation=self.dilation)
        draw = partial(self.random.normal, *self._model.shape)
        with torch.no_grad():
            noised = chain.noised(codec.encode(attacked), draw(), chain.depth)
            values = repaint(chain, noised, codec.encode(images), blocks(mask, codec.scale), draw)
            made = codec.decode(values).clamp(0, 1)
        return torch.where(mask, made, images)

    def _attack(self, images: Tensor, targets: Tensor) -> Tensor:
        """The images x' of the attack."""
        attacked, steps = images.clone(), images.new_full((len(images),), self.iterations)
        rows = torch.arange(len(images), device=images.device)
        for step in range(self.iterations):
            present = attacked[rows].requires_grad_()
            logits = self.task.classifier(self._filter(present, rows))
            sure = logits.detach().softmax(1).gather(1, targets[rows, None])[:, 0] >= self.confidence
            steps[rows[sure]] = step
            if sure.all():
                break
            loss = F.cross_entropy(logits, targets[rows], reduction="sum")
            loss = loss + self.proximity * (present - images[rows]).abs().sum()
            (slope,) = torch.autograd.grad(loss, present)
            moved = (present.detach() - self.rate * slope.sign()).clamp(0, 1)
            rows = rows[~sure]
            attacked[rows] = moved[~sure]
        self.log(steps=steps)
        return attacked

    def _filter(self, images: Tensor, rows: Tensor) -> Tensor:
        """Images of the queries ``rows`` with noise and denoised again, as a function of them."""
        chain, codec = self._chain, self._model.codec

        def draw() -> Tensor:
            return self.random.normal(*self._model.shape)[rows]

        noised = chain.noised(codec.encode(images), draw(), chain.depth)
        return codec.decode(chain.denoise(noised, chain.depth, noise=draw))
