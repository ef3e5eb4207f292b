"""Boundary learning: does a student learn the classifier's boundary from counterfactuals (arXiv 2109.14274)?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.dataset import Images
from cfbench.images import dequantise, quantise
from cfbench.networks import PlainCNN
from cfbench.session import Session
from cfbench.training_loop import fit

STUDENTS = 3
"""Students of different seeds a training set."""

STEPS = 600
"""Gradient steps of a student, about, whatever the size of its training set."""

BATCH = 64


@dataclass(frozen=True)
class Teaching:
    """Queries, what the classifier says of them, counterfactuals and their targets; 8-bit images ``[N, C, H, W]``."""

    queries: Tensor
    sources: Tensor
    made: Tensor
    targets: Tensor

    def sets(self, classifier: nn.Module, *, seed: int = 0) -> dict[str, Images]:
        """Training sets of the students: the counterfactuals, and what they are compared with.

        ``queries``: queries alone, ``noise``: with noise of the counterfactuals' norm, labelled by the classifier,
        ``pgd``: with attacks of that norm, labelled with the target, ``counterfactuals``: with the counterfactuals.
        """
        norms = (dequantise(self.made) - dequantise(self.queries)).flatten(1).norm(dim=1)
        stream = torch.Generator().manual_seed(seed)
        direction = torch.randn(self.queries.shape, generator=stream)
        noisy = quantise(dequantise(self.queries) + _scaled(direction, norms))
        attacked = quantise(_attack(classifier, dequantise(self.queries), self.targets, norms))
        with torch.no_grad():
            seen = torch.cat([classifier(dequantise(part)).argmax(1) for part in noisy.split(100)])
        added = {
            "noise": (noisy, seen),
            "pgd": (attacked, self.targets),
            "counterfactuals": (self.made, self.targets),
        }
        alone = Images(self.queries, self.sources)
        return {"queries": alone} | {
            name: Images(torch.cat([self.queries, images]), torch.cat([self.sources, labels]))
            for name, (images, labels) in added.items()
        }


def _scaled(direction: Tensor, norms: Tensor) -> Tensor:
    return F.normalize(direction.flatten(1)).view_as(direction) * norms.view(-1, 1, 1, 1)


def _attack(classifier: nn.Module, images: Tensor, targets: Tensor, norms: Tensor, *, steps: int = 10) -> Tensor:
    """Targeted projected gradient descent (arXiv 1706.06083) within ``norms`` [N] of each image, Euclidean."""
    parts = []
    for image, target, norm in zip(images.split(100), targets.split(100), norms.split(100), strict=True):
        moved = image.clone()
        for _ in range(steps):
            moved.requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(classifier(moved), target, reduction="sum"), moved)
            stepped = moved.detach() - _scaled(gradient, norm * 2.5 / steps) - image
            length = stepped.flatten(1).norm(dim=1).clamp(min=1e-12)
            moved = (image + stepped * (norm / length).clamp(max=1).view(-1, 1, 1, 1)).clamp(0, 1)
        parts.append(moved)
    return torch.cat(parts)


def agreement(classifier: nn.Module, data: Images, held_out: Tensor, *, classes: int) -> Tensor:
    """How often students trained on ``data`` say what the classifier says of held-out real images.

    Returns:
        Whether each student agrees on each image, float64 ``[STUDENTS, M]``.
    """
    with torch.no_grad():
        truth = torch.cat([classifier(dequantise(part)).argmax(1) for part in held_out.split(100)])
    agreed = []
    for seed in range(STUDENTS):
        student = _student(data, classes=classes, seed=seed)
        with torch.no_grad():
            said = torch.cat([student(dequantise(part)).argmax(1) for part in held_out.split(100)])
        agreed.append((said == truth).double().cpu())
    return torch.stack(agreed)


def _student(data: Images, *, classes: int, seed: int) -> nn.Module:
    """A small plain network trained on ``data``, the same from the same seed."""
    values = dequantise(data.images)
    mean, std = values.mean(dim=(0, 2, 3)).tolist(), values.std(dim=(0, 2, 3)).clamp(min=1e-3).tolist()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = PlainCNN(channels=values.shape[1], classes=classes, widths=(8, 16, 32), depth=1, mean=mean, std=std)

    def objective(images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(student(images), labels)

    batch = min(BATCH, len(data))
    epochs = max(1, round(STEPS / max(1, len(data) // batch)))
    stream = torch.Generator().manual_seed(seed)
    fit(
        student,
        data,
        objective,
        epochs=epochs,
        batch=batch,
        rate=3e-3,
        decay=0.02,
        generator=stream,
        session=Session(),
    )
    return student
