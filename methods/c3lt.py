"""Maps between the latents of classes, learnt once for all queries."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.dataset import Images
from cfbench.errors import InvalidParameter
from cfbench.fitted import fitted
from cfbench.images import dequantise, quantise
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import VAE
from cfbench.networks.conditions import as_weights
from cfbench.session import Session
from cfbench.training_loop import Player, play
from cfbench.view import MethodView

HIDDEN = 128
"""Units of each of the two hidden layers of a map, and of its critic."""
BATCH = 100
"""Training images a step."""
PART = 250
"""Training images that are encoded at once."""


def _layers(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN),
        nn.LeakyReLU(0.2),
        nn.Linear(HIDDEN, HIDDEN),
        nn.LeakyReLU(0.2),
        nn.Linear(HIDDEN, outputs),
    )


class LatentMap(nn.Module):
    """``g(z) = z + m_t - m_s + MLP(z, s, t)`` of latents z of class s and a target t; its m are places of the classes.

    The MLP gives nothing at first.
    """

    def __init__(self, latent: int, classes: int) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.zeros(classes, latent))
        self.layers = _layers(latent + 2 * classes, latent)
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, codes: Tensor, sources: Tensor, targets: Tensor) -> Tensor:
        """Codes ``[B, latent]`` of the targets ``[B]``."""
        count = len(self.places)
        inputs = torch.cat([codes, as_weights(sources, count), as_weights(targets, count)], dim=1)
        out: Tensor = codes + self.places[targets] - self.places[sources] + self.layers(inputs)
        return out


class LatentCritic(nn.Module):
    """How like the latent of an image of a class a latent looks."""

    def __init__(self, latent: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.layers = _layers(latent + classes, 1)

    def forward(self, codes: Tensor, classes: Tensor) -> Tensor:
        """Logits ``[B]``, high for those of images."""
        logits: Tensor = self.layers(torch.cat([codes, as_weights(classes, self.classes)], dim=1))
        return logits[:, 0]


class _Game:
    """What the map and its critic minimise on a batch of training images, given by their places among the codes."""

    def __init__(
        self,
        method: C3LT,
        task: MethodView,
        vae: VAE,
        network: LatentMap,
        images: Tensor,
        generator: torch.Generator,
    ) -> None:
        self.method, self.classifier, self.vae, self.map = method, task.classifier, vae, network
        self.generator = generator
        with torch.no_grad():
            parts = [dequantise(part) for part in images.split(PART)]
            self.codes = torch.cat([vae.encode(part)[0] for part in parts])
            self.sources = torch.cat([task.classifier.predict(part) for part in parts])
        self.classes = task.num_classes
        self.critic = LatentCritic(self.codes.shape[1], self.classes).to(images.device)

    def means(self) -> Tensor:
        """Mean code of each class, ``[classes, latent]``, that of all of a class without images."""
        chosen = [self.codes[self.sources == label] for label in range(self.classes)]
        return torch.stack([(part if len(part) else self.codes).mean(0) for part in chosen])

    def move(self, images: Tensor, places: Tensor) -> Tensor:
        """What the map minimises."""
        codes, sources = self.codes[places], self.sources[places]
        further = torch.randint(1, self.classes, places.shape, generator=self.generator)
        self.targets = (sources + further.to(sources.device)) % self.classes
        moved = self.map(codes, sources, self.targets)
        self.moved = moved.detach()
        made = self.vae.decode(moved)
        loss: Tensor = (
            F.cross_entropy(self.classifier(made), self.targets)
            + self.method.proximity * (made - images).abs().mean()
            + self.method.cycle * (self.map(moved, self.targets, sources) - codes).abs().mean()
            + self.method.adversarial * F.softplus(-self.critic(moved, self.targets)).mean()
        )
        return loss

    def judge(self, images: Tensor, places: Tensor) -> Tensor:
        """What the critic minimises."""
        real, fake = self.critic(self.codes[places], self.sources[places]), self.critic(self.moved, self.targets)
        return F.softplus(-real).mean() + F.softplus(fake).mean()


class C3LT(Method):
    """Learn maps between the latents of classes, and back, by which any query is explained at once (arXiv 2203.15064).

    For every pair of classes a map g brings the latent z of an image x of class s to one of the target t, and the map
    of the classes swapped, h, brings it back. On training images, with random targets, they minimise ``CE(F(G(g(z))),
    t) + proximity * |G(g(z)) - x|_1 / size + cycle * |h(g(z)) - z|_1 / length + adversarial * log(1 + exp(-D(g(z),
    t)))``; D learns to tell latents of images of a class from those that were brought there. Of a query, z is the
    encoder's mean and s the class that the classifier gives it. A result that does not have the target class, rounded
    to 8 bits, is mapped again, up to ``repeats`` times in all.

    What was learnt is kept in the user's cache for the same networks, training images, parameters, seed and code, so
    that only the first run spends the time of training.

    Logs, a query: how many times it was mapped (``repeats``).

    Our reading: one network for all pairs, which is told s and t and starts as the difference of the mean latents of
    the classes; a VAE in place of a GAN; D of latents, with which images came out as with one of images, sooner; norms,
    weights, and when g is repeated.

    Args:
        proximity, cycle, adversarial: weights of the terms, at least 0.
        repeats: most times that a query is mapped, at least 1.
        steps: of training, each on 100 images, at least 1. rate: Adam's greatest learning rate, in one cycle.
    """

    name = "c3lt"
    family = "VAE latent search"
    citation = "Khorram, Fuxin: Cycle-consistent counterfactuals by latent transformations, CVPR 2022, arXiv 2203.15064"
    needs = Needs(gradients=True, training_data=True, networks=("vae",))
    batch_size = 100
    quick = {"steps": 5}

    def __init__(
        self,
        *,
        proximity: float = 10.0,
        cycle: float = 0.1,
        adversarial: float = 0.1,
        repeats: int = 3,
        steps: int = 400,
        rate: float = 3e-3,
    ) -> None:
        if min(proximity, cycle, adversarial) < 0 or min(repeats, steps) < 1 or rate <= 0:
            raise InvalidParameter(
                f"proximity is {proximity}, cycle {cycle}, adversarial {adversarial}, repeats {repeats}, steps "
                f"{steps}, rate {rate}; expected proximity, cycle and adversarial >= 0, repeats and steps >= 1, rate "
                "above 0"
            )
        self.proximity = proximity
        self.cycle = cycle
        self.adversarial = adversarial
        self.repeats = repeats
        self.steps = steps
        self.rate = rate

    def prepare(self, task: MethodView) -> None:
        self._vae = cast(VAE, task.network("vae"))
        images = task.training_data().images[: self.steps * BATCH]
        seed = int(self.random.uniform(1).item() * 2**24)
        self._map = fitted(
            f"c3lt {seed}",
            lambda: LatentMap(self._vae.latent, task.num_classes).to(task.device),
            lambda network: self._fit(network, task, images, seed),
            {
                "classifier": task.classifier.network.state_dict(),
                "vae": self._vae.state_dict(),
                "images": images,
                "parameters": {name: value for name, value in self.parameters().items() if name != "repeats"},
            },
        )

    def _fit(self, network: LatentMap, task: MethodView, images: Tensor, seed: int) -> None:
        """Train the map."""
        generator = torch.Generator().manual_seed(seed)
        game = _Game(self, task, self._vae, network, images, generator)
        with torch.no_grad():
            network.places.copy_(game.means())
        play(
            network,
            Images(images, torch.arange(len(images))),
            [
                Player("map", network, game.move, self.rate, cycle=True),
                Player("critic", game.critic, game.judge, self.rate, betas=(0.5, 0.99)),
            ],
            epochs=max(1, round(self.steps * BATCH / len(images))),
            batch=BATCH,
            generator=generator,
            session=Session(),
        )

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            codes, _ = self._vae.encode(images)
            sources = self.task.classifier.predict(images)
            made, repeats = torch.empty_like(images), torch.zeros_like(targets)
            open_ = torch.arange(len(images), device=images.device)
            for _ in range(self.repeats):
                codes[open_] = self._map(codes[open_], sources[open_], targets[open_])
                made[open_] = self._vae.decode(codes[open_])
                repeats[open_] += 1
                open_ = open_[self.task.classifier.predict(dequantise(quantise(made[open_]))) != targets[open_]]
                if not len(open_):
                    break
        self.log(repeats=repeats)
        return made
