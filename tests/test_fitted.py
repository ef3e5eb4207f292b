"""Networks fitted in ``prepare``: fitted once for a key, the same from disk, random numbers left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from cfbench.fitted import fitted

INPUTS = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [2.0, -1.0]])
WEIGHTS = torch.tensor([[3.0, -2.0]])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CFBENCH_CACHE", str(tmp_path))
    return tmp_path / "fitted"


class Regression:
    """Least squares, whose answer is known, from where the random weights are and with noise on the way."""

    def __init__(self, scale: float = 1.0) -> None:
        self.targets = scale * INPUTS @ WEIGHTS.T
        self.times = 0
        self.drawn: list[float] = []

    def build(self) -> nn.Linear:
        return nn.Linear(2, 1, bias=False)

    def fit(self, network: nn.Linear) -> None:
        self.times += 1
        self.drawn.append(float(torch.randn(())))
        optimiser = torch.optim.SGD(network.parameters(), lr=0.2)
        for _ in range(200):
            optimiser.zero_grad()
            (network(INPUTS) - self.targets).square().mean().backward()
            optimiser.step()

    def fitted(self, **key: object) -> nn.Linear:
        return fitted("regression", self.build, self.fit, {"targets": self.targets, **key})


def test_fitted_once_for_a_key_and_again_for_another(folder: Path) -> None:
    regression = Regression()
    networks = [regression.fitted() for _ in range(3)]
    assert regression.times == 1
    assert torch.allclose(networks[0].weight, WEIGHTS, atol=1e-4)
    assert all(torch.equal(network.weight, networks[0].weight) for network in networks)
    regression.fitted(rate=0.1)
    assert regression.times == 2
    doubled = Regression(2.0)
    assert torch.allclose(doubled.fitted().weight, 2 * WEIGHTS, atol=1e-4)
    assert len(list(folder.iterdir())) == 3


def test_a_network_of_another_form_is_fitted_again() -> None:
    regression = Regression()
    plain = regression.fitted()
    biased = fitted("regression", lambda: nn.Linear(2, 1), regression.fit, {"targets": regression.targets})
    assert plain.bias is None
    assert biased.bias is not None
    assert regression.times == 2


def test_random_numbers_are_the_same_each_time_and_left_as_they_were(folder: Path) -> None:
    regression = Regression()
    before = torch.get_rng_state()
    first = regression.fitted()
    [path] = folder.iterdir()
    path.write_bytes(b"truncated")
    torch.randn(3)
    again = regression.fitted()
    torch.set_rng_state(before)
    assert regression.times == 2
    assert regression.drawn[0] == regression.drawn[1]
    assert torch.equal(first.weight, again.weight)
    state = torch.get_rng_state()
    regression.fitted()
    assert torch.equal(torch.get_rng_state(), state)


def test_the_network_is_frozen() -> None:
    regression = Regression()
    for network in (regression.fitted(), regression.fitted()):
        assert not network.training
        assert not network.weight.requires_grad
