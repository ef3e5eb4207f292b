"""Attacks: the ball, the optimum on a linear network; training against them."""

from __future__ import annotations

import torch
from torch import nn

from cfbench.robust import RobustRecipe, attacked
from cfbench.session import Session
from cfbench.testing import Toy


def test_on_a_linear_network_the_attack_finds_the_corner_of_the_ball() -> None:
    """The loss of two classes rises fastest with the sign of the difference of their weights, until the ball's edge."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(9, 2))
    images, labels = 0.3 + 0.4 * torch.rand(5, 1, 3, 3), torch.tensor([0, 1, 0, 1, 1])
    found = attacked(network, images, labels, epsilon=0.1, steps=5, generator=torch.Generator().manual_seed(0))
    weight = network[1].weight.detach()
    away = (weight[1 - labels] - weight[labels]).sign().view(5, 1, 3, 3)
    torch.testing.assert_close(found, images + 0.1 * away)


def test_attacked_images_stay_in_the_ball_and_in_range(toy: Toy) -> None:
    data = toy.raw(None).test
    images = data.images[:50].float() / 255
    network = toy.network("classifier")
    found = attacked(network, images, data.labels[:50], epsilon=0.2, steps=2)
    assert float((found - images).abs().max()) <= 0.2 + 1e-6
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert not any(weight.requires_grad for weight in network.parameters())


def test_training_on_attacks_makes_robust(toy: Toy) -> None:
    raw = toy.raw(None)
    recipe = RobustRecipe(epochs=4, batch=50, rate=1e-2, epsilon=0.15, stronger=10, judged=150)
    torch.manual_seed(7)
    network = toy.networks["classifier"].build()
    recipe.fit(network, raw.train, seed=7, networks=toy.network, session=Session())
    robust = recipe.quality(network, raw.test, networks=toy.network)
    usual = recipe.quality(toy.network("classifier"), raw.test, networks=toy.network)
    assert robust["accuracy"] > 0.9
    assert robust["accuracy_attacked"] > usual["accuracy_attacked"] + 0.2
    assert robust["epsilon"] == 0.15
