"""How good the images of a generator are, and the training recipe of the VAE."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cfbench.attribute_training import attributes_of
from cfbench.dataset import Images, Networks
from cfbench.distances.frechet import Gaussian, Moments, frechet_distance
from cfbench.images import dequantise, quantise
from cfbench.networks.vae import VAE, calibrated_nll, divergence
from cfbench.session import Session
from cfbench.training import predict, share
from cfbench.training_loop import Objective, fit

Network = TypeVar("Network", bound=nn.Module)

SAMPLES = 1000
"""Samples whose quality is measured, and real images of the floor, where there are enough."""
RECONSTRUCTED = 200
"""Images whose reconstruction error is measured."""
SAMPLE_SEED = 7
PART = 250
"""Images a pass in measuring."""


def expected(network: nn.Module, kind: type[Network]) -> Network:
    """``network``, which a recipe can train only if it is of this kind.

    Raises:
        TypeError: it is of another kind.
    """
    if not isinstance(network, kind):
        raise TypeError(f"this recipe trains a {kind.__name__}, got a {type(network).__name__}")
    return network


def _embeddings(extractor: nn.Module, images: Tensor) -> NDArray[np.float64]:
    with torch.inference_mode():
        vectors = [extractor.embed(dequantise(part)) for part in images.split(PART)]  # type: ignore[operator]
    return torch.cat(vectors).double().numpy()


def _gaussian(extractor: nn.Module, images: Tensor) -> Gaussian:
    return Moments.of(_embeddings(extractor, images)).gaussian


@dataclass(frozen=True)
class GeneratorRecipe:
    """What recipes of generators share: one objective is minimised, and how quality is measured.

    Attributes:
        average: decay of the moving average of the weights, which is what is kept.
        attributes: whether images are made of all their attributes, rather than of their class.
        extractor, oracles: the frozen networks that judge samples; none of them is trained against.
    """

    epochs: int
    batch: int = 32
    rate: float = 2e-3
    average: float = 0.999
    attributes: bool = False
    extractor: str = "extractor"
    oracles: tuple[str, ...] = ("oracle-1", "oracle-2", "oracle-3")

    def minimise(
        self,
        network: nn.Module,
        data: Images,
        objective: Objective,
        generator: torch.Generator,
        session: Session,
    ) -> None:
        """Minimise ``objective(images, conditions)``."""
        fit(
            network,
            self.conditioned(data),
            objective,
            epochs=self.epochs,
            batch=self.batch,
            rate=self.rate,
            decay=0.0,
            generator=generator,
            session=session,
            average=self.average,
        )

    def conditioned(self, data: Images) -> Images:
        """The images with what they are made of as labels: their class ``[N]``, or their attributes ``[N, A]``."""
        return replace(data, labels=attributes_of(data).float()) if self.attributes else data

    def fidelity(self, samples: Tensor, data: Images, networks: Networks) -> dict[str, float]:
        """``fd`` of [0, 1] samples to held-out images, and ``fd_floor``, that of as many other held-out images."""
        extractor = networks(self.extractor)
        count = min(len(samples), len(data) // 2)
        reference = _gaussian(extractor, data.images[count:])
        measured = {"fd": quantise(samples[:count]), "fd_floor": data.images[:count]}
        return {name: frechet_distance(_gaussian(extractor, images), reference) for name, images in measured.items()}

    def agreement(self, samples: Tensor, classes: Tensor, networks: Networks) -> dict[str, float]:
        """Share of samples that an oracle sees as the class that they should be of, the mean over the oracles."""
        hits = [share(predict(networks(oracle), quantise(samples)) == classes) for oracle in self.oracles]
        return {"class_agreement": float(np.mean(hits))}

    def conditional_quality(self, network: nn.Module, data: Images, networks: Networks) -> dict[str, float]:
        """Quality of a generator with ``sample`` and ``reconstruct``.

        Samples are made of the classes (or attributes) of the first test images. Gives ``class_agreement`` (in [0, 1]),
        ``fd`` and ``fd_floor`` (squared distances of features), ``mse`` and ``l1`` (of pixel values in [0, 1]).
        """
        conditions = self.conditioned(data).labels
        generator = torch.Generator().manual_seed(SAMPLE_SEED)
        images = dequantise(data.images[:RECONSTRUCTED])
        with torch.inference_mode():
            parts = conditions[:SAMPLES].split(PART)
            samples = torch.cat([network.sample(part, generator=generator) for part in parts])  # type: ignore[operator]
            reconstructions = network.reconstruct(images, conditions[:RECONSTRUCTED])  # type: ignore[operator]
        return {
            **self.agreement(samples, data.labels[:SAMPLES], networks),
            **self.fidelity(samples, data, networks),
            **errors(images, reconstructions),
        }


def errors(images: Tensor, reconstructions: Tensor) -> dict[str, float]:
    """Mean squared and mean absolute error of reconstructions of [0, 1] images."""
    return {
        "mse": float(F.mse_loss(reconstructions, images)),
        "l1": float(F.l1_loss(reconstructions, images)),
    }


@dataclass(frozen=True)
class VAERecipe(GeneratorRecipe):
    """The evidence lower bound with a Gaussian of the best deviation as p(x | z) (arXiv 2006.13202)."""

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        vae = expected(network, VAE)
        generator = torch.Generator().manual_seed(seed)

        def objective(images: Tensor, labels: Tensor) -> Tensor:
            mean, logvar = vae.encode(images)
            noise = torch.randn(mean.shape, generator=generator).to(mean.device)
            reconstructions = vae.decode(mean + (logvar / 2).exp() * noise)
            session.note(mse=float((images - reconstructions.detach()).square().mean()))
            return (calibrated_nll(images, reconstructions) + divergence(mean, logvar).mean()) / images[0].numel()

        self.minimise(vae, data, objective, generator, session)

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        vae = expected(network, VAE)
        images = dequantise(data.images[:RECONSTRUCTED])
        generator = torch.Generator().manual_seed(SAMPLE_SEED)
        with torch.inference_mode():
            samples = vae.decode(torch.randn(SAMPLES, vae.latent, generator=generator))
            return {**errors(images, vae(images)), **self.fidelity(samples, data, networks)}
