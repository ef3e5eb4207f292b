"""Training recipes of the frozen networks: small objectives for the one training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.augmentation import recolour, warp
from cfbench.dataset import Images, Networks
from cfbench.images import dequantise
from cfbench.session import Session
from cfbench.stats import roc_auc
from cfbench.training_loop import fit


def shift_and_flip(images: Tensor, *, shift: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Move each image ``[B, C, H, W]`` by up to ``shift`` pixels (zeros move in) and mirror half of them."""
    count, _, height, width = images.shape
    if shift:
        padded = F.pad(images, [shift] * 4)
        top, left = torch.randint(0, 2 * shift + 1, (2, count), generator=generator).to(images.device)
        rows = top[:, None] + torch.arange(height, device=images.device)
        columns = left[:, None] + torch.arange(width, device=images.device)
        batch = torch.arange(count, device=images.device)[:, None, None]
        images = padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if flip:
        mirrored = torch.rand(count, generator=generator).to(images.device) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return images.contiguous()


def answers(network: nn.Module, images: Tensor) -> Tensor:
    """Logits that ``network`` gives 8-bit images ``[N, C, H, W]``, ``[N, classes]``."""
    with torch.inference_mode():
        return torch.cat([network(dequantise(part)) for part in images.split(250)])


def predict(network: nn.Module, images: Tensor) -> Tensor:
    """Class that ``network`` gives each 8-bit image ``[N, C, H, W]``, ``[N]`` int64."""
    return answers(network, images).argmax(dim=1)


def share(hits: Tensor) -> float:
    """Share of ``hits`` ``[N]`` that are true."""
    return int(hits.sum()) / len(hits)


def dihedral(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn and mirror each square image by one of the eight ways that leave a square in place."""
    ways = torch.randint(0, 8, (len(images),), generator=generator).to(images.device)[:, None, None, None]
    images = torch.where(ways % 2 == 1, images.flip(2), images)
    images = torch.where(ways // 2 % 2 == 1, images.flip(3), images)
    images = torch.where(ways >= 4, images.transpose(2, 3), images)
    return images.contiguous()


@dataclass(frozen=True)
class AugmentedRecipe:
    """What recipes of classifiers share.

    Attributes:
        shift: pixels that an image is moved by at most. flip: whether half of them are mirrored.
        turn: whether images are turned and mirrored in all eight ways, for pictures without up and down.
        vary: whether they are also warped and recoloured at random (:mod:`cfbench.augmentation`).
        start: sets the first weights, such as those of another data set.
        average: decay of the moving average of weights that is kept; None for the weights themselves.
    """

    epochs: int
    shift: int = 0
    flip: bool = False
    turn: bool = False
    vary: bool = False
    batch: int = 128
    rate: float = 3e-3
    decay: float = 0.02
    start: Callable[[nn.Module], None] | None = None
    average: float | None = None

    def run(
        self, network: nn.Module, data: Images, loss: Callable[[Tensor, Tensor], Tensor], seed: int, session: Session
    ) -> None:
        """Minimise ``loss(images, labels)`` on augmented images of ``data``."""
        generator = torch.Generator().manual_seed(seed)
        if self.start is not None:
            self.start(network)

        def objective(images: Tensor, labels: Tensor) -> Tensor:
            augmented = shift_and_flip(images, shift=self.shift, flip=self.flip, generator=generator)
            if self.turn:
                augmented = dihedral(augmented, generator)
            if self.vary:
                augmented = recolour(warp(augmented, generator), generator)
            return loss(augmented, labels)

        fit(
            network,
            data,
            objective,
            epochs=self.epochs,
            batch=self.batch,
            rate=self.rate,
            decay=self.decay,
            generator=generator,
            session=session,
            average=self.average,
        )


@dataclass(frozen=True)
class ClassifierRecipe(AugmentedRecipe):
    """Cross-entropy on augmented images; quality is the accuracy on test images.

    Attributes:
        weighted: whether each class weighs as the inverse square root of its number of images.
        auc: classes, by name, whose area under the ROC curve is part of the quality.
    """

    weighted: bool = False
    auc: Mapping[str, int] = field(default_factory=dict)

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        weight = None
        if self.weighted:
            weight = data.labels.bincount().float().rsqrt()
            weight = weight / weight.mean()

        def loss(images: Tensor, labels: Tensor) -> Tensor:
            logits = network(images)
            session.note(accuracy=share(logits.argmax(1) == labels))
            return F.cross_entropy(logits, labels, weight=None if weight is None else weight.to(logits.device))

        self.run(network, data, loss, seed, session)

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        logits = answers(network, data.images)
        areas = {
            f"auc_{name}": roc_auc(logits.softmax(1)[:, label].numpy(), (data.labels == label).numpy())
            for name, label in self.auc.items()
        }
        return {"accuracy": share(logits.argmax(1) == data.labels), **areas}


@dataclass(frozen=True)
class DistilRecipe(AugmentedRecipe):
    """Copy a frozen classifier from its soft answers on augmented images (Hinton et al., arXiv 1503.02531).

    Minimises T^2 KL(teacher || copy) of the class probabilities at temperature T; labels are not used. Quality is the
    share of test images where both give the same class, and the accuracy.
    """

    teacher: str = "classifier"
    temperature: float = 2.0

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        teacher = networks(self.teacher)

        def loss(images: Tensor, labels: Tensor) -> Tensor:
            with torch.no_grad():
                wanted = F.log_softmax(teacher(images) / self.temperature, dim=1)
            given = F.log_softmax(network(images) / self.temperature, dim=1)
            return self.temperature**2 * F.kl_div(given, wanted, reduction="batchmean", log_target=True)

        self.run(network, data, loss, seed, session)

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        copied = predict(network, data.images)
        return {
            "agreement": share(copied == predict(networks(self.teacher), data.images)),
            "accuracy": share(copied == data.labels),
        }


@dataclass(frozen=True)
class AutoencoderRecipe:
    """Squared reconstruction error, on the images of one class or of all; quality is the mean squared error.

    Attributes:
        least: batches at least; a class of few images is seen in more epochs.
    """

    epochs: int
    only_class: int | None = None
    least: int = 0
    batch: int = 64
    rate: float = 3e-3

    def _select(self, data: Images) -> Images:
        if self.only_class is None:
            return data
        chosen = data.labels == self.only_class
        return Images(data.images[chosen], data.labels[chosen])

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        def objective(images: Tensor, labels: Tensor) -> Tensor:
            return F.mse_loss(network(images), images)

        chosen = self._select(data)
        fit(
            network,
            chosen,
            objective,
            epochs=max(self.epochs, -(-self.least // max(len(chosen) // self.batch, 1))),
            batch=self.batch,
            rate=self.rate,
            decay=0.0,
            generator=torch.Generator().manual_seed(seed),
            session=session,
        )

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        images = self._select(data).images
        with torch.inference_mode():
            errors = [
                (network(dequantise(part)) - dequantise(part)).square().flatten(1).mean(1) for part in images.split(500)
            ]
        return {"mse": float(torch.cat(errors).mean())}
