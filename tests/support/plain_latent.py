"""Searches in the latent space of a VAE or a GAN an image at a time, as the papers write them down.

Each is a function of a method, which has the networks and the parameters, an image ``[1, C, H, W]``, its target ``[1]``
and the noise asked for; it gives the counterfactual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Draw = Callable[..., Tensor]
"""Standard normal noise ``[1, *shape]``."""


Network = Callable[[Tensor], Tensor]
Through = Callable[[Network], Network]
"""How several images go through a network."""


def one_by_one(network: Network) -> Network:
    """The network on one image after the other."""
    return lambda batch: torch.cat([network(each) for each in batch.split(1)])


def sure(classifier: Network, image: Tensor, target: Tensor, confidence: float) -> bool:
    with torch.no_grad():
        return bool(classifier((image * 255).round() / 255).softmax(1)[0, target] >= confidence)


def plain_vae(of: Any, classifier: nn.Module, image: Tensor, target: Tensor, draw: Draw) -> Tensor:
    """REVISE (arXiv 1907.09615) and xGEM (arXiv 1806.08867); the ascent of arXiv 2206.05075 without ``proximity``."""
    code = of._vae.encode(image)[0].detach().requires_grad_()
    optimiser = torch.optim.Adam([code], lr=of.rate)
    for step in range(of.steps + 1):
        made = of._vae.decode(code)
        if step == of.steps or sure(classifier, made, target, of.confidence):
            break
        weight = getattr(of, "proximity", 0.0) * (1 - step / of.steps)
        loss = F.cross_entropy(classifier(made), target) + weight * (made - image).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return made.detach()


def plain_gan(of: Any, classifier: nn.Module, image: Tensor, target: Tensor, draw: Draw) -> Tensor:
    """The same over the latent of a GAN made of classes and over its condition."""
    with torch.no_grad():
        condition = F.one_hot(classifier(image).argmax(1), classifier(image).shape[1]).float()
        code = of._gan.encode(image, condition)
    code, condition = code.requires_grad_(), condition.requires_grad_()
    groups = [{"params": [code], "lr": of.rate}, {"params": [condition], "lr": of.condition_rate}]
    optimiser = torch.optim.Adam(groups)
    for step in range(of.steps + 1):
        made = of._gan.generator(code, condition)
        if step == of.steps or sure(classifier, made, target, of.confidence):
            break
        loss = F.cross_entropy(classifier(made), target)
        loss = loss + of.proximity * (1 - step / of.steps) * (made - image).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            condition.clamp_(0, 1)
    return made.detach()


def plain_dive(
    of: Any,
    classifier: Network,
    image: Tensor,
    target: Tensor,
    draw: Draw,
    *,
    through: Through = lambda network: network,
) -> Tensor:
    """DiVE (arXiv 2103.10226): its explanations side by side, which leave when they are sure."""
    count, vae, decode, classifier = of.explanations, of._vae, through(of._vae.decode), through(classifier)
    with torch.no_grad():
        start = vae.encode(image)[0]
    code = start.clone().requires_grad_()
    logs = F.log_softmax(classifier(decode(code)), 1)[0]
    information = torch.zeros_like(start)
    for each in logs:
        information += each.exp().detach() * torch.autograd.grad(each, code, retain_graph=True)[0] ** 2
    free = torch.ones(count, start.shape[1])
    if of.masks == "fisher":
        for rank, element in enumerate(information[0].argsort(descending=True).tolist()):
            free[rank * count // start.shape[1], element] = 0
    moved = (0.01 * draw(count, start.shape[1])[0] * free).requires_grad_()
    optimiser = torch.optim.Adam([moved], lr=of.rate)
    found, open_ = image.repeat(count, 1, 1, 1), torch.arange(count)
    for step in range(of.steps + 1):
        made = decode(start + moved[open_])
        found[open_] = made.detach()
        still = torch.tensor([not sure(classifier, each[None], target, of.confidence) for each in made])
        open_ = open_[still]
        if step == of.steps or not len(open_):
            break
        left, made = 1 - step / of.steps, made[still]
        losses = F.cross_entropy(classifier(made), target.expand(len(made)), reduction="none")
        losses = losses + left * of.reconstruction * (made - image).abs().flatten(1).mean(1)
        losses = losses + left * of.sparsity * moved[open_].abs().sum(1)
        directions = F.normalize(moved, dim=1)
        losses = losses + of.diversity * ((directions[open_] @ directions.T) ** 2).sum(1) - of.diversity
        optimiser.zero_grad()
        losses.sum().backward()
        before = moved.detach().clone()
        optimiser.step()
        with torch.no_grad():
            stepped = moved * free
            moved.copy_(before)
            moved[open_] = stepped[open_]
    chances = classifier((found * 255).round() / 255).softmax(1)[:, target[0]].detach()
    near = 2 - (found - image).abs().flatten(1).mean(1)
    return found[torch.where(chances >= of.confidence, near, chances).argmax()][None]


def plain_dive_apart(of: Any, classifier: Network, image: Tensor, target: Tensor, draw: Draw) -> Tensor:
    """The same, but networks see one explanation after the other."""
    return plain_dive(of, classifier, image, target, draw, through=one_by_one)
