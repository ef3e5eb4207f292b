"""The stacked deep image prior against ordinary modules, alone and under torch.func.vmap."""

from __future__ import annotations

import pytest
import torch
from plain_skipnet import PlainSkipNet
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.priors import SkipNet
from cfbench.seeds import QueryRandom

SHAPE = (3, 20, 24)
WIDTHS = (8, 16)


def stacked(count: int) -> SkipNet:
    return SkipNet(QueryRandom(range(count)), SHAPE, widths=WIDTHS, noise=4)


def weights_of(prior: SkipNet, plain: PlainSkipNet) -> dict[str, Tensor]:
    """The stacked weights ``[B, ...]`` under the plain network's names."""
    flat = {name: weight.detach() for name, weight in prior.named_parameters()}
    return {
        name: flat[name].reshape(-1, *weight.shape).clone().requires_grad_()
        for name, weight in plain.named_parameters()
    }


def test_agrees_with_vmap_over_plain_modules_in_values_and_gradients() -> None:
    prior, plain = stacked(4), PlainSkipNet(SHAPE, WIDTHS, noise=4)
    weights = weights_of(prior, plain)
    codes = prior.code.view(4, 1, 4, *SHAPE[1:])

    def one(weight: dict[str, Tensor], code: Tensor) -> Tensor:
        return torch.func.functional_call(plain, weight, (code,))[0]

    expected = torch.func.vmap(one, randomness="error")(weights, codes)
    found = prior()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)

    wanted = torch.rand(4, *SHAPE)
    (found - wanted).square().sum().backward()
    (expected - wanted).square().sum().backward()
    for name, weight in prior.named_parameters():
        assert weight.grad is not None
        reference = weights[name].grad
        assert reference is not None
        scale = float(reference.abs().max())
        torch.testing.assert_close(weight.grad.flatten(), reference.flatten(), rtol=1e-3, atol=1e-3 * scale)


def test_agrees_with_a_loop_over_plain_modules() -> None:
    prior, plain = stacked(3), PlainSkipNet(SHAPE, WIDTHS, noise=4)
    weights = weights_of(prior, plain)
    for index, code in enumerate(prior.code.view(3, 1, 4, *SHAPE[1:])):
        alone = torch.func.functional_call(plain, {name: weight[index] for name, weight in weights.items()}, (code,))
        torch.testing.assert_close(prior()[index], alone[0], rtol=1e-4, atol=1e-5)


def test_one_image_alone_is_the_image_in_a_batch_after_optimisation() -> None:
    wanted = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))

    def fit(indices: list[int]) -> Tensor:
        prior = SkipNet(QueryRandom(indices), SHAPE, widths=WIDTHS, noise=4)
        optimiser = torch.optim.Adam(prior.parameters(), lr=0.01)
        for _ in range(20):
            optimiser.zero_grad()
            (prior() - wanted[indices]).square().flatten(1).mean(1).sum().backward()
            optimiser.step()
        return prior().detach()

    together = fit([0, 1, 2, 3, 4])
    alone = torch.cat([fit([index]) for index in range(5)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-3)


def test_fits_an_image() -> None:
    rows = torch.linspace(0, 1, 20)[:, None].expand(1, 3, 20, 24)
    prior = SkipNet(QueryRandom([0]), SHAPE, widths=WIDTHS, noise=4)
    optimiser = torch.optim.Adam(prior.parameters(), lr=0.01)
    for _ in range(200):
        optimiser.zero_grad()
        loss = (prior() - rows).square().mean()
        loss.backward()
        optimiser.step()
    assert loss.item() < 2e-3


def test_too_many_scales_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="more than 32 pixels, got 20 x 24; give at least one and at most 4"):
        SkipNet(QueryRandom([0]), SHAPE, widths=(8, 8, 8, 8, 8))
