"""Training recipes of the frozen networks: one loop, small objectives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.dataset import Images, Networks, Progress
from cfbench.images import dequantise


def batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Index batches of one shuffled epoch; a last incomplete batch is dropped."""
    order = torch.randperm(count, generator=generator)
    for start in range(0, count - size + 1, size):
        yield order[start : start + size]


def shift_and_flip(images: Tensor, *, shift: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Move each image ``[B, C, H, W]`` by up to ``shift`` pixels (zeros move in) and mirror half of them."""
    count, _, height, width = images.shape
    if shift:
        padded = F.pad(images, [shift] * 4)
        top, left = torch.randint(0, 2 * shift + 1, (2, count), generator=generator)
        rows = top[:, None] + torch.arange(height)
        columns = left[:, None] + torch.arange(width)
        batch = torch.arange(count)[:, None, None]
        images = padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if flip:
        mirrored = torch.rand(count, generator=generator) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return images.contiguous()


def predict(network: nn.Module, images: Tensor) -> Tensor:
    """Class that ``network`` gives each 8-bit image ``[N, C, H, W]``, ``[N]`` int64."""
    with torch.inference_mode():
        return torch.cat([network(dequantise(part)).argmax(dim=1) for part in images.split(500)])


def _share(hits: Tensor) -> float:
    return int(hits.sum()) / len(hits)


def fit(
    network: nn.Module,
    data: Images,
    objective: Callable[[Tensor, Tensor], Tensor],
    *,
    epochs: int,
    batch: int,
    rate: float,
    decay: float,
    generator: torch.Generator,
    progress: Progress,
) -> None:
    """Minimise ``objective(images, labels)`` with AdamW under a one-cycle rate; leaves the network in evaluation mode.

    Weights are kept channels-last, which trains up to twice as fast on a CPU.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    total = epochs * (len(data) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=total)
    network.to(memory_format=torch.channels_last).train()
    step = 0
    for epoch in range(epochs):
        for index in batches(len(data), batch, generator):
            loss = objective(dequantise(data.images[index]), data.labels[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            step += 1
            if step % 20 == 0 or step == total:
                progress(step / total, f"epoch {epoch + 1}/{epochs}, loss {loss.item():.4f}")
    network.eval()


@dataclass(frozen=True)
class ClassifierRecipe:
    """Cross-entropy on augmented images; quality is the accuracy on test images."""

    epochs: int
    shift: int
    flip: bool
    batch: int = 128
    rate: float = 3e-3
    decay: float = 0.02

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, progress: Progress) -> None:
        generator = torch.Generator().manual_seed(seed)

        def objective(images: Tensor, labels: Tensor) -> Tensor:
            augmented = shift_and_flip(images, shift=self.shift, flip=self.flip, generator=generator)
            return F.cross_entropy(network(augmented), labels)

        fit(
            network,
            data,
            objective,
            epochs=self.epochs,
            batch=self.batch,
            rate=self.rate,
            decay=self.decay,
            generator=generator,
            progress=progress,
        )

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        return {"accuracy": _share(predict(network, data.images) == data.labels)}


@dataclass(frozen=True)
class DistilRecipe:
    """Copy a frozen classifier from its soft answers on augmented images (Hinton et al., arXiv 1503.02531).

    Minimises T^2 KL(teacher || copy) of the class probabilities at temperature T; labels are not used. Quality is the
    share of test images where both give the same class, and the accuracy.
    """

    epochs: int
    shift: int
    flip: bool
    teacher: str = "classifier"
    temperature: float = 2.0
    batch: int = 128
    rate: float = 3e-3
    decay: float = 0.02

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, progress: Progress) -> None:
        generator = torch.Generator().manual_seed(seed)
        teacher = networks(self.teacher)

        def objective(images: Tensor, labels: Tensor) -> Tensor:
            augmented = shift_and_flip(images, shift=self.shift, flip=self.flip, generator=generator)
            with torch.no_grad():
                wanted = F.log_softmax(teacher(augmented) / self.temperature, dim=1)
            given = F.log_softmax(network(augmented) / self.temperature, dim=1)
            return self.temperature**2 * F.kl_div(given, wanted, reduction="batchmean", log_target=True)

        fit(
            network,
            data,
            objective,
            epochs=self.epochs,
            batch=self.batch,
            rate=self.rate,
            decay=self.decay,
            generator=generator,
            progress=progress,
        )

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        copied = predict(network, data.images)
        return {
            "agreement": _share(copied == predict(networks(self.teacher), data.images)),
            "accuracy": _share(copied == data.labels),
        }


@dataclass(frozen=True)
class AutoencoderRecipe:
    """Squared reconstruction error, on the images of one class or of all; quality is the mean squared error."""

    epochs: int
    only_class: int | None = None
    batch: int = 64
    rate: float = 3e-3

    def _select(self, data: Images) -> Images:
        if self.only_class is None:
            return data
        chosen = data.labels == self.only_class
        return Images(data.images[chosen], data.labels[chosen])

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, progress: Progress) -> None:
        def objective(images: Tensor, labels: Tensor) -> Tensor:
            return F.mse_loss(network(images), images)

        fit(
            network,
            self._select(data),
            objective,
            epochs=self.epochs,
            batch=self.batch,
            rate=self.rate,
            decay=0.0,
            generator=torch.Generator().manual_seed(seed),
            progress=progress,
        )

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        images = self._select(data).images
        with torch.inference_mode():
            errors = [
                (network(dequantise(part)) - dequantise(part)).square().flatten(1).mean(1) for part in images.split(500)
            ]
        return {"mse": float(torch.cat(errors).mean())}
