"""Training recipes of the frozen generators: VAE, GAN and diffusion model, and how good their images are."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cfbench.dataset import Images, Networks
from cfbench.distances.frechet import Gaussian, Moments, frechet_distance
from cfbench.images import dequantise, quantise
from cfbench.networks.diffusion import STEPS, Diffusion
from cfbench.networks.gan import GAN, Discriminator
from cfbench.networks.vae import VAE, calibrated_nll, divergence
from cfbench.session import Session
from cfbench.training import predict
from cfbench.training_loop import Player, fit, play

SAMPLES = 1000
"""Samples whose quality is measured, and real images of the floor."""
RECONSTRUCTED = 200
"""Images whose reconstruction error is measured."""
SAMPLE_SEED = 7


def _embeddings(extractor: nn.Module, images: Tensor) -> NDArray[np.float64]:
    with torch.inference_mode():
        vectors = [extractor.embed(dequantise(part)) for part in images.split(250)]  # type: ignore[operator]
    return torch.cat(vectors).double().numpy()


def _gaussian(extractor: nn.Module, images: Tensor) -> Gaussian:
    return Moments.of(_embeddings(extractor, images)).gaussian


@dataclass(frozen=True)
class _GeneratorRecipe:
    """What recipes of generators share: how quality is measured.

    Attributes:
        average: decay of the moving average of the weights, which is what is kept.
        extractor, oracles: the frozen networks that judge samples; none of them is trained against.
    """

    epochs: int
    batch: int = 32
    rate: float = 2e-3
    average: float = 0.999
    extractor: str = "extractor"
    oracles: tuple[str, ...] = ("oracle-1", "oracle-2", "oracle-3")

    def _fidelity(self, samples: Tensor, data: Images, networks: Networks) -> dict[str, float]:
        """``fd`` of [0, 1] samples to held-out images, and ``fd_floor``, that of as many other held-out images."""
        extractor = networks(self.extractor)
        count = min(len(samples), len(data) // 2)
        reference = _gaussian(extractor, data.images[count:])
        measured = {"fd": quantise(samples[:count]), "fd_floor": data.images[:count]}
        return {name: frechet_distance(_gaussian(extractor, images), reference) for name, images in measured.items()}

    def _agreement(self, samples: Tensor, classes: Tensor, networks: Networks) -> dict[str, float]:
        """Share of samples that an oracle sees as the class that they were made of, the mean over the oracles."""
        hits = [predict(networks(oracle), quantise(samples)) == classes for oracle in self.oracles]
        return {"class_agreement": float(torch.stack(hits).double().mean())}


def _errors(images: Tensor, reconstructions: Tensor) -> dict[str, float]:
    return {
        "mse": float(F.mse_loss(reconstructions, images)),
        "l1": float(F.l1_loss(reconstructions, images)),
    }


def _classes(count: int) -> Tensor:
    """Each of the classes in turn, ``[SAMPLES]``."""
    return torch.arange(SAMPLES) % count


def _first(data: Images) -> tuple[Tensor, Tensor]:
    return dequantise(data.images[:RECONSTRUCTED]), data.labels[:RECONSTRUCTED]


@dataclass(frozen=True)
class VAERecipe(_GeneratorRecipe):
    """The evidence lower bound with a Gaussian of the best deviation as p(x | z) (arXiv 2006.13202)."""

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        assert isinstance(network, VAE)
        generator = torch.Generator().manual_seed(seed)

        def objective(images: Tensor, labels: Tensor) -> Tensor:
            mean, logvar = network.encode(images)
            noise = torch.randn(mean.shape, generator=generator)
            reconstructions = network.decode(mean + (logvar / 2).exp() * noise)
            session.note(mse=float((images - reconstructions.detach()).square().mean()))
            return (calibrated_nll(images, reconstructions) + divergence(mean, logvar).mean()) / images[0].numel()

        fit(
            network,
            data,
            objective,
            epochs=self.epochs,
            batch=self.batch,
            rate=self.rate,
            decay=0.0,
            generator=generator,
            session=session,
            average=self.average,
        )

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        assert isinstance(network, VAE)
        images, _ = _first(data)
        generator = torch.Generator().manual_seed(SAMPLE_SEED)
        with torch.inference_mode():
            samples = network.decode(torch.randn(SAMPLES, network.latent, generator=generator))
            return {**_errors(images, network(images)), **self._fidelity(samples, data, networks)}


@dataclass
class _Game:
    """The two objectives of a GAN, which share the images of a step."""

    recipe: GANRecipe
    network: GAN
    critic: Discriminator
    classifier: nn.Module
    generator: torch.Generator
    session: Session
    fakes: Tensor = field(default_factory=lambda: torch.empty(0))

    def make(self, images: Tensor, labels: Tensor) -> Tensor:
        """What generator and encoder minimise.

        The first half of the batch comes of random latents; the second half of encoded images, which it is to resemble.
        """
        recipe, network = self.recipe, self.network
        half = len(images) // 2
        mean, logvar = network.posterior(images[half:], labels[half:])
        noise = torch.randn(len(images), network.latent, generator=self.generator)
        codes = mean + (logvar / 2).exp() * noise[half:]
        fakes = network.generator(torch.cat([noise[:half], codes]), labels)
        self.fakes = fakes.detach()
        error = (fakes[half:] - images[half:]).abs().mean()
        answers = self.classifier(fakes)
        self.session.note(l1=float(error.detach()), agreement=float((answers.argmax(1) == labels).float().mean()))
        loss: Tensor = (
            F.softplus(-self.critic(fakes, labels)).mean()
            + recipe.reconstruction * error
            + recipe.divergence * divergence(mean, logvar).mean()
            + recipe.classes * F.cross_entropy(answers, labels)
        )
        return loss

    def judge(self, images: Tensor, labels: Tensor) -> Tensor:
        """What the discriminator minimises, with the slope at every fourth real image penalised."""
        scores, fake_scores = self.critic(images, labels), self.critic(self.fakes, labels)
        few = images[::4].clone().requires_grad_()
        (slopes,) = torch.autograd.grad(self.critic(few, labels[::4]).sum(), few, create_graph=True)
        penalty = self.recipe.penalty / 2 * slopes.square().flatten(1).sum(dim=1).mean()
        return F.softplus(-scores).mean() + F.softplus(fake_scores).mean() + penalty


@dataclass(frozen=True)
class GANRecipe(_GeneratorRecipe):
    """The non-saturating game with a penalty on the discriminator's slope at real images (R1, arXiv 1801.04406).

    The encoder is trained with the generator as a variational autoencoder, whose random latents the discriminator sees
    too (VAE/GAN, arXiv 1512.09300; the error is of pixels here). A frozen classifier, which is no oracle, holds images
    to their class (arXiv 1610.09585).

    Attributes:
        reconstruction: weight of the mean absolute error. divergence: of KL(q(z | x) || p(z)) in nats.
        classes: of the classifier's cross-entropy. penalty: gamma of R1.
    """

    rate: float = 1e-3
    reconstruction: float = 10.0
    divergence: float = 2e-3
    classes: float = 0.1
    penalty: float = 1.0
    classifier: str = "classifier"

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        assert isinstance(network, GAN)
        generator = torch.Generator().manual_seed(seed)
        critic = network.discriminator()
        game = _Game(self, network, critic, networks(self.classifier), generator, session)
        play(
            network,
            data,
            [
                Player("generator", network, game.make, self.rate, betas=(0.0, 0.99)),
                Player("discriminator", critic, game.judge, self.rate, betas=(0.0, 0.99)),
            ],
            epochs=self.epochs,
            batch=self.batch,
            generator=generator,
            session=session,
            average=self.average,
        )

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        assert isinstance(network, GAN)
        images, labels = _first(data)
        classes = _classes(network.classes)
        with torch.inference_mode():
            samples = network.sample(classes, generator=torch.Generator().manual_seed(SAMPLE_SEED))
            errors = _errors(images, network(images, labels))
        return {
            **self._agreement(samples, classes, networks),
            **self._fidelity(samples, data, networks),
            **errors,
        }


@dataclass(frozen=True)
class DiffusionRecipe(_GeneratorRecipe):
    """Squared error of v at uniformly drawn steps (arXiv 2202.00512), sometimes without the class (2207.12598).

    Attributes:
        dropped: share of images whose class is hidden.
    """

    dropped: float = 0.1

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        assert isinstance(network, Diffusion)
        generator = torch.Generator().manual_seed(seed)

        def objective(images: Tensor, labels: Tensor) -> Tensor:
            hidden = torch.rand(len(labels), generator=generator) < self.dropped
            steps = torch.randint(0, STEPS, (len(labels),), generator=generator)
            noise = torch.randn(images.shape, generator=generator)
            predicted = network(
                network.noised(images, noise, steps), steps, labels.masked_fill(hidden, network.classes)
            )
            return F.mse_loss(predicted, network.velocity(images, noise, steps))

        fit(
            network,
            data,
            objective,
            epochs=self.epochs,
            batch=self.batch,
            rate=self.rate,
            decay=0.0,
            generator=generator,
            session=session,
            average=self.average,
        )

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        assert isinstance(network, Diffusion)
        images, labels = _first(data)
        classes = _classes(network.classes)
        generator = torch.Generator().manual_seed(SAMPLE_SEED)
        with torch.inference_mode():
            samples = torch.cat([network.sample(part, generator=generator) for part in classes.split(250)])
            errors = _errors(images, network.decode(network.encode(images, labels), labels))
        return {
            **self._agreement(samples, classes, networks),
            **self._fidelity(samples, data, networks),
            **errors,
        }
