"""The training recipe of the GAN with its encoder."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.dataset import Images, Networks
from cfbench.generators import GeneratorRecipe, expected
from cfbench.networks.gan import GAN, Discriminator
from cfbench.networks.vae import divergence
from cfbench.session import Session
from cfbench.training import share
from cfbench.training_loop import Player, play


def _answered(logits: Tensor, conditions: Tensor) -> tuple[Tensor, float]:
    """Loss of a classifier's (or attribute network's) answers to images of ``conditions``, and the share right."""
    if conditions.ndim == 1:
        return F.cross_entropy(logits, conditions), share(logits.argmax(1) == conditions)
    right = (logits > 0) == (conditions > 0.5)
    return F.binary_cross_entropy_with_logits(logits, conditions), float(right.double().mean())


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

    def make(self, images: Tensor, conditions: Tensor) -> Tensor:
        """What generator and encoder minimise.

        The first half of the batch comes of random latents; the second half of encoded images, which it is to resemble.
        """
        recipe, network = self.recipe, self.network
        half = len(images) // 2
        mean, logvar = network.posterior(images[half:], conditions[half:])
        noise = torch.randn(len(images), network.latent, generator=self.generator).to(images.device)
        codes = mean + (logvar / 2).exp() * noise[half:]
        fakes = network.generator(torch.cat([noise[:half], codes]), conditions)
        self.fakes = fakes.detach()
        error = (fakes[half:] - images[half:]).abs().mean()
        missed, right = _answered(self.classifier(fakes), conditions)
        self.session.note(l1=float(error.detach()), agreement=right)
        loss: Tensor = (
            F.softplus(-self.critic(fakes, conditions)).mean()
            + recipe.reconstruction * error
            + recipe.divergence * divergence(mean, logvar).mean()
            + recipe.classes * missed
        )
        return loss

    def judge(self, images: Tensor, conditions: Tensor) -> Tensor:
        """What the discriminator minimises, with the slope at every fourth real image penalised."""
        scores, fake_scores = self.critic(images, conditions), self.critic(self.fakes, conditions)
        few = images[::4].clone().requires_grad_()
        (slopes,) = torch.autograd.grad(self.critic(few, conditions[::4]).sum(), few, create_graph=True)
        penalty = self.recipe.penalty / 2 * slopes.square().flatten(1).sum(dim=1).mean()
        return F.softplus(-scores).mean() + F.softplus(fake_scores).mean() + penalty


@dataclass(frozen=True)
class GANRecipe(GeneratorRecipe):
    """The non-saturating game with a penalty on the discriminator's slope at real images (R1, arXiv 1801.04406).

    The encoder is trained with the generator as a variational autoencoder, whose random latents the discriminator sees
    too (VAE/GAN, arXiv 1512.09300; the error is of pixels here). A frozen classifier, which is no oracle, holds images
    to their class, or a frozen attribute network to their attributes (arXiv 1610.09585).

    Attributes:
        reconstruction: weight of the mean absolute error. divergence: of KL(q(z | x) || p(z)) in nats.
        classes: of the classifier's cross-entropy. penalty: gamma of R1. classifier: name of that network.
    """

    rate: float = 1e-3
    reconstruction: float = 10.0
    divergence: float = 2e-3
    classes: float = 0.1
    penalty: float = 1.0
    classifier: str = "classifier"

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        gan = expected(network, GAN)
        generator = torch.Generator().manual_seed(seed)
        critic = gan.discriminator()
        game = _Game(self, gan, critic, networks(self.classifier), generator, session)
        play(
            gan,
            self.conditioned(data),
            [
                Player("generator", gan, game.make, self.rate, betas=(0.0, 0.99)),
                Player("discriminator", critic, game.judge, self.rate, betas=(0.0, 0.99)),
            ],
            epochs=self.epochs,
            batch=self.batch,
            generator=generator,
            session=session,
            average=self.average,
        )

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        return self.conditional_quality(expected(network, GAN), data, networks)
