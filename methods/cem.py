"""Contrastive explanations: what is absent from the image and, were it there, would make it the other class."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import VAE
from cfbench.shrinkage import Term, hinge, search
from cfbench.view import MethodView


class CEM(Method):
    """Pertinent negatives of the contrastive explanations method (arXiv 1802.07623, equation 1).

    Minimises ``c max(0, max_{i != t} Z_i(x') - Z_t(x') + margin) + sparsity |d|_1 + |d|_2^2 + manifold |x' -
    AE(x')|_2^2`` over the change d = x' - x with logits Z, by FISTA: gradient steps, shrinkage, projection to [0, 1].
    For each query c is raised tenfold until the target leads by the margin, then bisected; of all points that reached
    it, also when rounded to 8 bits, the one of least cost, without the first term, is taken.

    Our reading: a target that is asked for, where the paper takes any other class; AE is the task's frozen VAE,
    because the task's autoencoders judge; pixels may fall as well as rise unless ``additive``; gradients are taken, and
    success is judged, at the points of the momentum; shrinkage by beta times the step; the schedules of c (on a log
    scale) and of the steps; all defaults.

    Logs, a query: the c that made what was taken (``weight``), NaN where the target was never reached.

    Args:
        margin: by how much the target's logit must lead, at least 0 (the paper's kappa).
        sparsity, manifold: weights of the l1 norm (beta) and of the autoencoder's error (gamma), at least 0.
        additive: whether pixels may only rise, as where the paper adds ink to a dark ground.
        weight: first c. rounds: of the search for c. steps: of each round. rate: length of the first step.
    """

    name = "cem"
    family = "pixel optimisation"
    citation = (
        "Dhurandhar, Chen, Luss, Tu, Ting, Shanmugam, Das: Explanations based on the missing: towards contrastive "
        "explanations with pertinent negatives, NeurIPS 2018, arXiv 1802.07623"
    )
    needs = Needs(gradients=True, networks=("vae",))
    batch_size = 250
    quick = {"rounds": 2, "steps": 5}

    def __init__(
        self,
        *,
        margin: float = 10.0,
        sparsity: float = 0.1,
        manifold: float = 60.0,
        additive: bool = False,
        weight: float = 10.0,
        rounds: int = 3,
        steps: int = 80,
        rate: float = 0.002,
    ) -> None:
        if min(margin, sparsity, manifold) < 0 or min(weight, rate) <= 0 or min(rounds, steps) < 1:
            raise InvalidParameter(
                f"margin is {margin}, sparsity {sparsity}, manifold {manifold}, weight {weight}, rounds {rounds}, "
                f"steps {steps}, rate {rate}; expected margin, sparsity, manifold >= 0, rounds and steps >= 1, "
                "others above 0"
            )
        self.margin = margin
        self.sparsity = sparsity
        self.manifold = manifold
        self.additive = additive
        self.weight = weight
        self.rounds = rounds
        self.steps = steps
        self.rate = rate

    def prepare(self, task: MethodView) -> None:
        self._vae = cast(VAE, task.network("vae"))

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        def prediction(current: Tensor) -> Tensor:
            return hinge(self.task.classifier(current), targets, self.margin)

        found = search(
            images,
            prediction,
            self._rest(images, targets),
            sparsity=self.sparsity,
            weight=self.weight,
            rounds=self.rounds,
            steps=self.steps,
            rate=self.rate,
            least=images if self.additive else 0.0,
        )
        self.log(weight=found.weight)
        return found.images

    def _rest(self, images: Tensor, targets: Tensor) -> Term:
        """The terms besides the prediction and the size of the change."""
        return lambda current: self.manifold * (current - self._vae(current)).square().flatten(1).sum(1)
