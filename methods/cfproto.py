"""Counterfactuals guided by prototypes of the target class."""

from __future__ import annotations

import torch
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.images import dequantise
from cfbench.methods.cem import CEM
from cfbench.needs import Needs
from cfbench.shrinkage import Term
from cfbench.view import MethodView

PART = 500
"""Training images a pass."""


class CFProto(CEM):
    """The terms of ``cem``, and a pull towards the mean code of real images of the target class (arXiv 1907.02584).

    Minimises ``c max(0, max_{i != t} Z_i(x') - Z_t(x') + margin) + sparsity |d|_1 + |d|_2^2 + manifold |x' -
    AE(x')|_2^2 + prototype |Enc(x') - proto_t|_2^2`` over the change d = x' - x by FISTA, with c searched for each
    query as in ``cem``. proto_t is the mean of Enc over the ``neighbours`` training images nearest to Enc(x) among
    those that the classifier puts in the target class; a query whose target class no training image has fails.

    Our reading: Enc is the mean of the code of the task's frozen VAE and AE its reconstruction, because the task's
    autoencoders judge; the target is asked for, where the paper takes the class of the nearest prototype; c is searched
    for, so that the least cost without the first term decides among points that reach the target; what ``cem`` leaves
    to be read; all defaults.

    Logs, a query: the c that made what was taken (``weight``), NaN where the target was never reached.

    Args:
        margin: by how much the target's logit must lead, at least 0 (the paper's kappa).
        sparsity, manifold, prototype: weights of the l1 norm (beta), of the autoencoder's error (gamma) and of the
            prototype (theta), at least 0.
        neighbours: training images of a prototype, at least 1.
        weight: first c. rounds: of the search for c. steps: of each round. rate: length of the first step.
    """

    name = "cfproto"
    family = "pixel optimisation"
    citation = (
        "Van Looveren, Klaise: Interpretable counterfactual explanations guided by prototypes, ECML PKDD 2021, arXiv "
        "1907.02584"
    )
    needs = Needs(gradients=True, training_data=True, networks=("vae",))
    batch_size = 250
    quick = {"rounds": 2, "steps": 5}

    def __init__(
        self,
        *,
        margin: float = 8.0,
        sparsity: float = 0.1,
        manifold: float = 10.0,
        prototype: float = 30.0,
        neighbours: int = 10,
        weight: float = 1.0,
        rounds: int = 3,
        steps: int = 40,
        rate: float = 0.004,
    ) -> None:
        super().__init__(
            margin=margin, sparsity=sparsity, manifold=manifold, weight=weight, rounds=rounds, steps=steps, rate=rate
        )
        if prototype < 0 or neighbours < 1:
            raise InvalidParameter(
                f"prototype is {prototype} and neighbours {neighbours}; expected prototype >= 0 and neighbours >= 1"
            )
        self.prototype = prototype
        self.neighbours = neighbours

    def prepare(self, task: MethodView) -> None:
        super().prepare(task)
        parts = [dequantise(part) for part in task.training_data().images.split(PART)]
        self._classes = torch.cat([task.classifier.predict(part) for part in parts])
        with torch.no_grad():
            self._codes = torch.cat([self._vae.encode(part)[0] for part in parts])

    def _rest(self, images: Tensor, targets: Tensor) -> Term:
        with torch.no_grad():
            codes = self._vae.encode(images)[0]
        wanted = prototypes(codes, targets, self._codes, self._classes, neighbours=self.neighbours)

        def rest(current: Tensor) -> Tensor:
            codes = self._vae.encode(current)[0]
            error = (current - self._vae.decode(codes)).square().flatten(1).sum(1)
            return self.manifold * error + self.prototype * (codes - wanted).square().sum(1)

        return rest


def prototypes(codes: Tensor, targets: Tensor, pool: Tensor, classes: Tensor, *, neighbours: int) -> Tensor:
    """Mean of the codes of ``pool`` nearest to ``codes`` [B, D] among those of the class asked for, ``[B, D]``.

    Takes as many as there are where a class has fewer than ``neighbours``; NaN where it has none.
    """
    distances = torch.cdist(codes, pool)
    distances[targets[:, None] != classes[None, :]] = torch.inf
    nearest = distances.topk(min(neighbours, len(pool)), largest=False)
    counted = nearest.values.isfinite()
    chosen = torch.where(counted[:, :, None], pool[nearest.indices], 0.0)
    return chosen.sum(1) / counted.sum(1, keepdim=True)
