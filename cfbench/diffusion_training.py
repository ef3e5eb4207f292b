"""The training recipe of diffusion models, and of the autoencoder whose latents some of them work in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.dataset import Images, Networks
from cfbench.generators import GeneratorRecipe, expected
from cfbench.images import dequantise
from cfbench.networks.codecs import Compressor
from cfbench.networks.conditions import as_weights
from cfbench.networks.diffusion import STEPS, Diffusion
from cfbench.session import Session
from cfbench.training_loop import fit

STANDARDISED = 500
"""Images by whose latents a compressor is standardised."""


@dataclass(frozen=True)
class DiffusionRecipe(GeneratorRecipe):
    """Squared error of v at uniformly drawn steps (arXiv 2202.00512), sometimes without condition (2207.12598).

    A compressor is trained first, to reconstruct images from its latents with a little noise added to them.

    Attributes:
        dropped: share of images whose condition is hidden.
        compressor_epochs: of the compressor, if there is one. blur: deviation of the noise on its latents.
    """

    dropped: float = 0.1
    compressor_epochs: int = 3
    blur: float = 0.05

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        model = expected(network, Diffusion)
        generator = torch.Generator().manual_seed(seed)
        if isinstance(model.codec, Compressor):
            self._compress(model.codec, data, generator, session.part(0.0, 0.2))
            session = session.part(0.2, 1.0)

        def objective(images: Tensor, conditions: Tensor) -> Tensor:
            weights = as_weights(conditions, model.classes)
            shown = torch.rand(len(weights), 1, generator=generator).to(weights.device) >= self.dropped
            steps = torch.randint(0, STEPS, (len(weights),), generator=generator).to(weights.device)
            with torch.no_grad():
                values = model.codec.encode(images)
            noise = torch.randn(values.shape, generator=generator).to(values.device)
            predicted = model(model.noised(values, noise, steps), steps, weights * shown)
            return F.mse_loss(predicted, model.velocity(values, noise, steps))

        self.minimise(model, data, objective, generator, session)

    def _compress(self, compressor: Compressor, data: Images, generator: torch.Generator, session: Session) -> None:
        def objective(images: Tensor, labels: Tensor) -> Tensor:
            latents = compressor.encode(images)
            noise = (
                self.blur * latents.detach().std() * torch.randn(latents.shape, generator=generator).to(latents.device)
            )
            return F.l1_loss(compressor.decode(latents + noise), images)

        fit(
            compressor,
            data,
            objective,
            epochs=self.compressor_epochs,
            batch=self.batch,
            rate=self.rate,
            decay=0.0,
            generator=generator,
            session=session,
        )
        compressor.standardise(dequantise(data.images[:STANDARDISED].to(compressor.centre.device)))
        compressor.requires_grad_(False)

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        return self.conditional_quality(expected(network, Diffusion), data, networks)
