"""Counterfactuals by diffusion, an image at a time and step by step as the papers write them down.

What ours are timed against and compared with: nothing is shared, every estimate costs its own passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from torch import Tensor, nn

from cfbench.networks import Diffusion

Draw = Callable[[], Tensor]
"""Standard normal noise ``[1, c, s, s]``."""


class Plain:
    """One method on single images: model and classifier, and the method's parameters ``of`` them by name.

    Args:
        draw: noise, in the order in which the method asks for it.
    """

    def __init__(self, model: Diffusion, classifier: nn.Module, of: Any, draw: Draw) -> None:
        self.model, self.classifier, self.of, self.draw = model, classifier, of, draw
        self.bound = model.codec.bound
        scheduler = DDPMScheduler.from_config(model.noising.config, timestep_spacing="trailing")
        scheduler.set_timesteps(of.steps)
        self.times = [0, *reversed(scheduler.timesteps.tolist())]
        self.kept = [1.0, *scheduler.alphas_cumprod[self.times[1:]].double().tolist()]

    def noised(self, values: Tensor, level: int) -> Tensor:
        return self.kept[level] ** 0.5 * values + (1 - self.kept[level]) ** 0.5 * self.draw()

    def reverse(self, noised: Tensor, level: int) -> tuple[Tensor, Tensor, float]:
        """x_0 as the model has it, and mean and variance one level down."""
        kept, below = self.kept[level], self.kept[level - 1]
        velocity = self.model(noised, torch.tensor([self.times[level]]), torch.zeros(1, self.model.classes))
        clean = (kept**0.5 * noised - (1 - kept) ** 0.5 * velocity).clamp(-self.bound, self.bound)
        beta = 1 - kept / below
        mean = (below**0.5 * beta * clean + (1 - beta) ** 0.5 * (1 - below) * noised) / (1 - kept)
        return clean, mean, beta * (1 - below) / (1 - kept)

    def denoise(self, noised: Tensor, level: int) -> Tensor:
        for present in range(level, 0, -1):
            _, noised, variance = self.reverse(noised, present)
            if present > 1:
                noised = noised + variance**0.5 * self.draw()
        return noised

    def image(self, values: Tensor) -> Tensor:
        return self.model.codec.decode(values).clamp(0, 1)

    def sure(self, image: Tensor, target: Tensor) -> bool:
        chance = self.classifier(image).softmax(1)[0, target]
        return bool(chance >= self.of.confidence)

    def mask(self, image: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Where they differ most: pixels, and blocks of pixels."""
        change = (image - other).abs().sum(1, keepdim=True)
        reach = self.of.dilation
        pixels = F.max_pool2d(change / change.max(), reach, stride=1, padding=reach // 2) >= self.of.threshold
        blocks = F.max_pool2d(pixels.float(), self.model.codec.scale) == 1
        return pixels, blocks


class PlainDiME(Plain):
    """DiME (arXiv 2203.15636), and FastDiME (arXiv 2312.14223) where there is a ``warmup``."""

    @torch.no_grad()
    def __call__(self, image: Tensor, target: Tensor) -> Tensor:
        values = self.model.codec.encode(image)
        start = self.noised(values, self.of.depth)
        for scale in self.of.scales:
            made = self.descend(image, target, values, start, scale)
            if self.sure((made * 255).round() / 255, target):
                break
        return made

    def descend(self, image: Tensor, target: Tensor, values: Tensor, noised: Tensor, scale: float) -> Tensor:
        fast = hasattr(self.of, "warmup")
        pixels = blocks = torch.ones(1, dtype=torch.bool)
        seen = values
        for level in range(self.of.depth, 0, -1):
            clean, mean, variance = self.reverse(noised, level)
            if fast and level < self.of.depth:
                if level <= (1 - self.of.warmup) * self.of.depth:
                    pixels, blocks = self.mask(self.model.codec.decode(clean), image)
                seen = torch.where(blocks, clean, values)
            slope = self.slope(image, target, seen, scale) / self.kept[level] ** 0.5
            slope = slope + self.of.proximity * (noised - values).sign()
            noised = mean - variance * slope
            if level > 1:
                noised = noised + variance**0.5 * self.draw()
                if fast and level < self.of.depth:
                    noised = torch.where(blocks, noised, self.noised(values, level - 1))
                if not fast:
                    seen = self.denoise(noised, level - 1)
        return torch.where(pixels, self.image(noised), image)

    def slope(self, image: Tensor, target: Tensor, seen: Tensor, scale: float) -> Tensor:
        with torch.enable_grad():
            at = seen.detach().requires_grad_()
            maps, logits = self.classifier.outputs(self.model.codec.decode(at))
            chance = logits.softmax(1)[0, target]
            loss = -scale * (chance.log() if self.of.pull == "probability" else torch.logit(chance))
            if self.of.perception:
                for have, want in zip(maps, self.classifier.outputs(image)[0], strict=True):
                    loss = loss + self.of.perception * F.mse_loss(have, want)
            return torch.autograd.grad(loss, at)[0]


class PlainACE(Plain):
    """ACE (arXiv 2303.09962)."""

    def __call__(self, image: Tensor, target: Tensor) -> Tensor:
        attacked = image
        for _ in range(self.of.iterations):
            present = attacked.detach().requires_grad_()
            values = self.denoise(self.noised(self.model.codec.encode(present), self.of.depth), self.of.depth)
            logits = self.classifier(self.model.codec.decode(values))
            if logits.softmax(1)[0, target] >= self.of.confidence:
                break
            loss = F.cross_entropy(logits, target) + self.of.proximity * (present - image).abs().sum()
            (slope,) = torch.autograd.grad(loss, present)
            attacked = (attacked - self.of.rate * slope.sign()).clamp(0, 1)
        return self.refine(image, attacked)

    @torch.no_grad()
    def refine(self, image: Tensor, attacked: Tensor) -> Tensor:
        pixels, blocks = self.mask(attacked, image)
        values = self.model.codec.encode(image)
        noised = self.noised(self.model.codec.encode(attacked), self.of.depth)
        for level in range(self.of.depth, 0, -1):
            _, mean, variance = self.reverse(noised * blocks + self.noised(values, level) * ~blocks, level)
            noised = mean if level == 1 else mean + variance**0.5 * self.draw()
        return torch.where(pixels, self.image(noised), image)
