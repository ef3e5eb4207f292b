"""A peer package in an environment of its own: xGEM as bex has it, on the task's classifier and VAE.

python3 -m venv bex
bex/bin/pip install torch torchvision pandas h5py matplotlib tqdm requests scikit-learn
bex/bin/pip install --no-deps bex==0.5.2
cfbench evaluate --method examples/bex/adapter.py:BexXGEM --set python=bex/bin/python
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from cfbench import Method, Needs
from cfbench.external import Worker
from cfbench.networks import VAE
from cfbench.view import MethodView


class Coder(nn.Module):
    """The VAE's two ways, for TorchScript."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def encode(self, images: Tensor) -> Tensor:
        return self.vae.encode(images)[0]

    def decode(self, codes: Tensor) -> Tensor:
        return self.vae.decode(codes)


class BexXGEM(Method):
    """xGEM (arXiv 1806.08867) by the package bex (arXiv 2112.11398): ``BCE + proximity * |G(z) - x|_1`` over z.

    Our reading: the odds of the target against all other classes, because bex knows two classes; one explanation a
    query. What the classifier is asked in the worker is not counted.

    Args:
        python: interpreter of an environment that has bex.
        steps, rate, proximity: bex's ``num_iters``, ``lr`` and ``reconstruction_weight``.
        limit: seconds that a batch may take.
    """

    name = "bex-xgem"
    family = "VAE latent search"
    citation = (
        "Joshi, Koyejo, Kim, Ghosh: xGEMs: Generating examplars to explain black-box models, 2018, arXiv 1806.08867"
    )
    needs = Needs(gradients=True, networks=("vae",))
    batch_size = 10
    quick = {"steps": 5}

    def __init__(
        self,
        *,
        python: str = "bex/bin/python",
        steps: int = 50,
        rate: float = 0.1,
        proximity: float = 0.001,
        limit: float = 600.0,
    ) -> None:
        self.python = python
        self.steps = steps
        self.rate = rate
        self.proximity = proximity
        self.limit = limit

    def prepare(self, task: MethodView) -> None:
        vae = cast(VAE, task.network("vae"))
        image = torch.zeros(1, *task.image_shape)
        with warnings.catch_warnings(action="ignore"):  # deprecated, yet what a Python without cfbench can load
            classifier = torch.jit.trace(task.classifier.network, image)
            coder = torch.jit.trace_module(Coder(vae), {"encode": image, "decode": torch.zeros(1, vae.latent)})
        self._worker = Worker(
            self.python,
            Path(__file__).with_name("worker.py"),
            [classifier, coder, self.steps, self.rate, self.proximity],
            limit=self.limit,
            advice="make an environment that has bex, as adapter.py says",
        )

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        seeds = (self.random.uniform(1)[:, 0] * 2**24).long()
        return self._worker.explain(images, targets, seeds=seeds)
