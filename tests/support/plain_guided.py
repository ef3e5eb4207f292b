"""DVCE, LDCE and SCE an image at a time, as the papers write them down; see ``plain_diffusion``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from plain_diffusion import Draw, Plain
from torch import Tensor, nn

from cfbench.networks import Diffusion


class PlainDVCE(Plain):
    """DVCE (arXiv 2210.11841): the projection of the robust classifier's gradient on the cone, then its direction."""

    def __init__(self, model: Diffusion, classifier: nn.Module, of: Any, draw: Draw, robust: nn.Module) -> None:
        super().__init__(model, classifier, of, draw)
        self.robust = robust

    def __call__(self, image: Tensor, target: Tensor) -> Tensor:
        noised = self.noised(self.model.codec.encode(image), self.of.depth)
        for level in range(self.of.depth, 0, -1):
            start = noised.detach().requires_grad_()
            clean, mean, variance = self.reverse(start, level)
            made = self.model.codec.decode(clean)
            axis, _ = (
                torch.autograd.grad(F.log_softmax(self.classifier(made), 1)[0, target], start, retain_graph=True) * 2
            )
            wanted, _ = (
                torch.autograd.grad(F.log_softmax(self.robust(made), 1)[0, target], start, retain_graph=True) * 2
            )
            (away,) = torch.autograd.grad((made - image).abs().sum(), start)
            pull = self.of.target * self.project(wanted, axis / axis.norm()) - self.of.distance * away / away.norm()
            noised = mean + variance * mean.norm() * pull
            if level > 1:
                noised = noised + variance**0.5 * self.draw()
        return self.image(noised.detach())

    def project(self, wanted: Tensor, axis: Tensor) -> Tensor:
        """The direction of the projection of ``wanted`` on the cone around ``axis``, a unit vector."""
        widest = math.radians(self.of.angle)
        along = (wanted * axis).sum()
        aside = wanted - along * axis
        if torch.atan2(aside.norm(), along) > widest:
            rim = math.cos(widest) * axis + math.sin(widest) * aside / aside.norm()
            wanted = (wanted * rim).sum().abs() * rim
        return wanted / wanted.norm()


class PlainLDCE(Plain):
    """LDCE (arXiv 2310.06668), written with the predicted noise."""

    def __call__(self, image: Tensor, target: Tensor) -> Tensor:
        noised = self.noised(self.model.codec.encode(image), self.of.depth)
        for level in range(self.of.depth, 0, -1):
            start = noised.detach().requires_grad_()
            clean = self.estimate(start, level, torch.zeros(1, self.model.classes))
            told = self.estimate(noised, level, F.one_hot(target, self.model.classes).float())
            made = self.model.codec.decode(clean)
            chance = F.log_softmax(self.classifier(made), 1)[0, target].sum()
            (slope,) = torch.autograd.grad(chance, start, retain_graph=True)
            (away,) = torch.autograd.grad((made - image).abs().sum(), start)
            left = 1 - self.kept[level]
            free, given = ((noised - self.kept[level] ** 0.5 * each.detach()) / left**0.5 for each in (clean, told))
            implicit, score = given - free, -(left**0.5) * slope
            angles = torch.rad2deg(torch.acos((implicit * score).sum(1) / implicit.norm(dim=1) / score.norm(dim=1)))
            score = torch.where(angles[:, None] <= self.of.angle, score, 0)
            score = self.of.target * score / score.norm() + self.of.distance * away / away.norm()
            noise = free + implicit.norm() * score
            values = (noised - left**0.5 * noise) / self.kept[level] ** 0.5
            noised = self.kept[level - 1] ** 0.5 * values + (1 - self.kept[level - 1]) ** 0.5 * noise
        return self.image(noised)

    def estimate(self, noised: Tensor, level: int, weights: Tensor) -> Tensor:
        velocity = self.model(noised, torch.tensor([self.times[level]]), weights)
        clean = self.kept[level] ** 0.5 * noised - (1 - self.kept[level]) ** 0.5 * velocity
        return clean.clamp(-self.bound, self.bound)


class PlainSCE(Plain):
    """SCE (arXiv 2506.14698) in our reading: Adam on the noised image, and a mask that follows it.

    ``further`` has what came after the first, where nothing that the earlier ones had in their masks may change.
    """

    def __init__(self, model: Diffusion, classifier: nn.Module, of: Any, draw: Draw, copy: nn.Module) -> None:
        super().__init__(model, classifier, of, draw)
        self.copy = copy
        self.further: list[Tensor] = []

    def __call__(self, image: Tensor, target: Tensor) -> Tensor:
        free = torch.ones_like(image[:, :1], dtype=torch.bool)
        made, pixels = self.explore(image, target, free)
        self.further = []
        for _ in range(1, self.of.explanations):
            free = free & ~pixels
            other, pixels = self.explore(image, target, free)
            self.further.append(other)
        return made

    def explore(self, image: Tensor, target: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
        values = self.model.codec.encode(image)
        codes = self.noised(values, self.of.depth).requires_grad_()
        noises = [self.draw() for _ in range(2 * self.of.depth)]
        first, second = torch.zeros_like(codes), torch.zeros_like(codes)
        pixels = free
        for step in range(self.of.iterations + 1):
            blocks = F.max_pool2d(pixels.float(), self.model.codec.scale) == 1
            made = torch.where(pixels, self.image(self.inpainted(codes, values, blocks, iter(noises))), image)
            if step >= self.of.warmup and self.sure((made.detach() * 255).round() / 255, target):
                break
            if step == self.of.iterations:
                break
            loss = F.cross_entropy(self.copy(made), target) + self.of.proximity * (made - image).abs().mean()
            (slope,) = torch.autograd.grad(loss, codes)
            first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
            average, spread = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
            codes = (codes - self.of.rate * average / (spread.sqrt() + 1e-8)).detach().requires_grad_()
            if step + 1 >= self.of.warmup:
                pixels = self.mask(made.detach(), image)[0] & free
        return made.detach(), pixels

    def inpainted(self, noised: Tensor, values: Tensor, inside: Tensor, noises: Iterator[Tensor]) -> Tensor:
        for level in range(self.of.depth, 0, -1):
            kept = self.kept[level]
            outside = kept**0.5 * values + (1 - kept) ** 0.5 * next(noises)
            clean, mean, variance = self.reverse(torch.where(inside, noised, outside), level)
            noised = clean if level == 1 else mean + variance**0.5 * next(noises)
        return noised
