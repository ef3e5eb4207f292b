"""The training loop of every frozen network: one player or several, averaged weights, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cfbench.dataset import Images
from cfbench.errors import InvalidParameter
from cfbench.images import dequantise
from cfbench.session import Session, State

Objective = Callable[[Tensor, Tensor], Tensor]
"""Of a batch of images ``[B, C, H, W]`` in [0, 1] and their labels ``[B]``: what is to be minimised, a scalar."""


@dataclass(frozen=True)
class Player:
    """One side of a training: its weights, what it minimises, and how it steps (AdamW, arXiv 1711.05101).

    Attributes:
        name: of its objective, for the progress bar. module: holds the weights that it moves, and no others.
        cycle: whether the rate follows one cycle (arXiv 1708.07120), momentum with it; if not, both are constant.
    """

    name: str
    module: nn.Module
    objective: Objective
    rate: float
    decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    cycle: bool = False


class _Side:
    """A player with its optimiser and schedule."""

    def __init__(self, player: Player, total: int) -> None:
        self.player = player
        self.weights = [weight for weight in player.module.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.AdamW(
            player.module.parameters(), lr=player.rate, weight_decay=player.decay, betas=player.betas
        )
        self.schedule = (
            torch.optim.lr_scheduler.OneCycleLR(self.optimiser, max_lr=player.rate, total_steps=total)
            if player.cycle
            else torch.optim.lr_scheduler.ConstantLR(self.optimiser, factor=1.0)
        )

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Move the weights once; the loss before."""
        loss = self.player.objective(images, labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        return loss.detach()

    def state(self) -> State:
        return {"optimiser": self.optimiser.state_dict(), "schedule": self.schedule.state_dict()}

    def load(self, state: State) -> None:
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        for weight, moments in self.optimiser.state.items():
            for name, value in moments.items():
                if value.shape == weight.shape:
                    moments[name] = torch.empty_like(weight).copy_(value)


class _Average:
    """The exponential moving average of a network's weights and statistics.

    Its decay rises as (1 + n) / (10 + n) with the steps n, so that the first weights are soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._decay = decay
        self.values = {name: value.clone() for name, value in network.state_dict().items()}

    def update(self, step: int) -> None:
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, value in self._network.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)

    def load(self, values: State) -> None:
        for name, value in values.items():
            self.values[name].copy_(value)


class _Training:
    """All that changes while networks are trained, to be stored and put back."""

    def __init__(
        self,
        network: nn.Module,
        players: Sequence[Player],
        total: int,
        average: float | None,
        generator: torch.Generator,
    ) -> None:
        self.modules = nn.ModuleList([network, *(player.module for player in players)])
        self.device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
        self.modules.to(self.device).to(memory_format=torch.channels_last).train()
        self.sides = [_Side(player, total) for player in players]
        self.average = None if average is None else _Average(network, average)
        self.generator = generator
        self.order = torch.empty(0, dtype=torch.int64)
        self.step = 0

    def advance(self, images: Tensor, labels: Tensor) -> list[Tensor]:
        """Have each player take its turn; their losses."""
        losses = []
        for side in self.sides:
            if len(self.sides) > 1:
                self._let_move(side.weights)
            losses.append(side.step(images, labels))
        self.step += 1
        if self.average is not None:
            self.average.update(self.step)
        return losses

    def _let_move(self, weights: list[nn.Parameter]) -> None:
        """Take gradients of ``weights`` and of no other player's."""
        for side in self.sides:
            for weight in side.weights:
                weight.requires_grad_(False)
        for weight in weights:
            weight.requires_grad_()

    def finish(self) -> None:
        """Leave the averaged weights, if any, in the network, and all of it in evaluation mode."""
        for side in self.sides:
            for weight in side.weights:
                weight.requires_grad_()
        if self.average is not None:
            self.modules[0].load_state_dict(self.average.values)
        self.modules[0].eval()

    def state(self) -> State:
        return {
            "step": self.step,
            "order": self.order,
            "modules": self.modules.state_dict(),
            "sides": [side.state() for side in self.sides],
            "average": {} if self.average is None else self.average.values,
            "generator": self.generator.get_state(),
            "global": torch.get_rng_state(),
        }

    def load(self, state: State) -> None:
        self.step = state["step"]
        self.order = state["order"]
        self.modules.load_state_dict(state["modules"])
        for side, stored in zip(self.sides, state["sides"], strict=True):
            side.load(stored)
        if self.average is not None:
            self.average.load(state["average"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["global"])


def play(
    network: nn.Module,
    data: Images,
    players: Sequence[Player],
    *,
    epochs: int,
    batch: int,
    generator: torch.Generator,
    session: Session,
    average: float | None = None,
) -> None:
    """Have several players move their weights in turn on each batch; leaves ``network`` in evaluation mode.

    What a player's objective needs of the others is computed without gradients on their weights. Training runs on the
    device where ``network`` is. Weights are kept channels-last, which trains up to twice as fast on a CPU. From the
    same seeds and with as many threads the weights are the same to the bit, also after a kill in between: everything
    that changes is in the session's checkpoint.

    Args:
        network: what is trained; players may move parts of it, or modules beside it such as a discriminator.
        batch: images a step, drawn anew each epoch; a last incomplete batch is dropped.
        generator: of the order of the images, and of what objectives draw from it or from torch's global generator.
        average: decay of the moving average of the network's weights that stays in it, such as .999; None for the
            weights themselves.

    Raises:
        InvalidParameter: there is no image to learn from.
        RunMismatch: the session is to go on from a checkpoint of something else.
    """
    if not len(data):
        raise InvalidParameter("there are no images to train on; expected at least one")
    size = min(batch, len(data))
    turns = len(data) // size
    total = epochs * turns
    training = _Training(network, players, total, average, generator)
    stage = session.stage()
    stored = stage.load()
    if stored is not None:
        training.load(stored)
    while training.step < total:
        epoch, turn = divmod(training.step, turns)
        if turn == 0:
            training.order = torch.randperm(len(data), generator=generator)
        index = training.order[turn * size : (turn + 1) * size]
        images, labels = data.images[index].to(training.device), data.labels[index].to(training.device)
        losses = training.advance(dequantise(images), labels)
        if training.step % 20 == 0 or training.step == total:
            shown = ", ".join(f"{player.name} {loss:.4f}" for player, loss in zip(players, losses, strict=True))
            session.progress(training.step / total, f"epoch {epoch + 1}/{epochs}, {shown}")
        stage.save(training.state, now=turn == turns - 1)
    training.finish()


def fit(
    network: nn.Module,
    data: Images,
    objective: Objective,
    *,
    epochs: int,
    batch: int,
    rate: float,
    decay: float,
    generator: torch.Generator,
    session: Session,
    average: float | None = None,
) -> None:
    """Minimise ``objective(images, labels)`` over ``network``'s weights, the rate in one cycle; see :func:`play`."""
    player = Player("loss", network, objective, rate, decay, cycle=True)
    play(
        network,
        data,
        [player],
        epochs=epochs,
        batch=batch,
        generator=generator,
        session=session,
        average=average,
    )
