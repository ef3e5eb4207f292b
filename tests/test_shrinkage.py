"""Shrinkage, and the accelerated proximal descent with its search, against closed forms and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from cfbench.images import dequantise, quantise
from cfbench.shrinkage import descend, elastic_net, hinge, search, shrink

SLOPE = torch.tensor([2.0, 1.0, -0.5, 0.1]).view(1, 1, 2, 2)
QUERIES = torch.tensor([[0.2, 0.3, 0.6, 0.5], [0.9, 0.1, 0.3, 0.5], [0.5, 0.5, 0.5, 0.0]]).view(3, 1, 2, 2)


def scores(images: Tensor) -> Tensor:
    """Two logits whose difference is linear: class 1 leads by ``w . x - 2``."""
    lead = (images * SLOPE).flatten(1).sum(1) - 2
    return torch.stack([-lead / 2, lead / 2], dim=1)


def nothing(images: Tensor) -> Tensor:
    return torch.zeros(len(images))


def test_the_hinge_is_what_the_target_lacks() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.5], [4.0, 0.0, 1.0], [-torch.inf, 0.0, -1.0]])
    assert hinge(logits, torch.tensor([1, 1, 1]), 0.75).tolist() == [0.25, 4.75, 0.0]
    assert hinge(logits[:2], torch.tensor([1, 0]), 0.0).tolist() == [0, 0]


@pytest.mark.parametrize("value", [-1.3, -0.2, 0.0, 0.31, 2.0])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.5])
def test_shrinking_solves_its_problem(value: float, threshold: float) -> None:
    found = float(shrink(torch.tensor([value], dtype=torch.float64), threshold))
    best = minimize_scalar(lambda u: (u - value) ** 2 / 2 + threshold * abs(u), bounds=(-3, 3), options={"xatol": 1e-9})
    assert found == pytest.approx(best.x, abs=1e-6)


def test_the_elastic_net_sums_over_pixels() -> None:
    assert elastic_net(torch.tensor([[[[0.5, -1.0]]]]), 0.1).tolist() == pytest.approx([1.25 + 0.15])


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 1.0])
def test_a_quadratic_is_minimised_by_a_soft_threshold(sparsity: float) -> None:
    """Of ``|x + d - a|^2 + |d|^2 + s |d|_1`` the optimum is (a - x) / 2, shrunk by s / 4 and cut to [0, 1]."""
    wanted = torch.tensor([1.9, -1.0, 0.7, 0.3]).view(1, 1, 2, 2)

    def rest(images: Tensor) -> Tensor:
        return (images - wanted).square().flatten(1).sum(1)

    best, cost, last = descend(QUERIES, nothing, rest, weight=torch.ones(3), sparsity=sparsity, steps=200, rate=0.1)
    change = shrink((wanted - QUERIES) / 2, sparsity / 4)
    optimum = torch.maximum(torch.minimum(change, 1 - QUERIES), -QUERIES)
    for found in (best, last):
        assert (found - QUERIES - optimum).abs().max() < 5e-4
    assert cost.tolist() == pytest.approx((rest(QUERIES + optimum) + elastic_net(optimum, sparsity)).tolist())


def test_the_hinge_with_its_weight_is_minimised() -> None:
    """With a weight too low to reach the prediction the last point is the optimum that scipy finds."""
    weight = 0.4
    _, cost, last = descend(
        QUERIES,
        lambda images: hinge(scores(images), torch.ones(3, dtype=torch.long), 0.5),
        nothing,
        weight=torch.full((3,), weight),
        sparsity=0.1,
        steps=200,
        rate=0.05,
    )
    assert cost.isinf().all()
    slope = SLOPE.flatten().double().numpy()
    for query, found in zip(QUERIES.flatten(1).double().numpy(), last.flatten(1).numpy(), strict=True):

        def loss(halves: NDArray[np.float64], query: NDArray[np.float64] = query) -> float:
            change = halves[:4] - halves[4:]
            short = max(0.0, 0.5 - (slope @ (query + change) - 2))
            return float(weight * short + change @ change + 0.1 * halves.sum())

        bounds = [(0, 1 - x) for x in query] + [(0, x) for x in query]
        best = minimize(loss, np.full(8, 0.01), bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-14})
        assert found - query == pytest.approx(best.x[:4] - best.x[4:], abs=1e-3)


@pytest.mark.parametrize("sparsity", [0.01, 0.3])
@pytest.mark.parametrize("rising", [False, True])
def test_the_search_finds_the_nearest_point_that_reaches(sparsity: float, rising: bool) -> None:
    """On a linear classifier that point solves a small convex problem with a linear constraint."""
    margin = 0.5
    targets = torch.ones(3, dtype=torch.long)
    found = search(
        QUERIES,
        lambda images: hinge(scores(images), targets, margin),
        nothing,
        sparsity=sparsity,
        weight=0.01,
        rounds=12,
        steps=200,
        rate=0.05,
        least=QUERIES if rising else 0.0,
    )
    slope = SLOPE.flatten().double().numpy()
    for query, image in zip(QUERIES.flatten(1).double().numpy(), found.images.flatten(1).double().numpy(), strict=True):
        lead = {"type": "ineq", "fun": lambda h, query=query: slope @ (query + h[:4] - h[4:]) - 2 - margin}
        bounds = [(0, 1 - x) for x in query] + [(0, 0 if rising else x) for x in query]

        def cost(h: NDArray[np.float64]) -> float:
            return float(((h[:4] - h[4:]) ** 2).sum() + sparsity * h.sum())

        best = minimize(cost, np.full(8, 0.05), bounds=bounds, constraints=[lead], options={"ftol": 1e-9})
        assert best.success
        change = image - query
        reached = float((change**2).sum() + sparsity * np.abs(change).sum())
        assert best.fun - 1e-3 <= reached <= best.fun * 1.02 + 1e-3
        assert change == pytest.approx(best.x[:4] - best.x[4:], abs=0.02)
    assert found.weight.isfinite().all()
    assert (hinge(scores(dequantise(quantise(found.images))), targets, margin) == 0).all(), "as they are stored"


def test_what_is_never_reached_ends_where_its_last_round_did() -> None:
    """More than the largest lead within [0, 1] is asked for; the others of the batch do not notice."""
    margins = torch.tensor([0.5, 5.0, 0.5])

    def searched(chosen: list[int]) -> tuple[Tensor, Tensor]:
        def lack(images: Tensor) -> Tensor:
            return (margins[chosen] - scores(images).diff(dim=1)[:, 0]).clamp_min(0)

        found = search(QUERIES[chosen], lack, nothing, sparsity=0.1, weight=1.0, rounds=6, steps=60, rate=0.02)
        return found.images, found.weight

    images, weight = searched([0, 1, 2])
    assert weight.isfinite().tolist() == [True, False, True]
    assert images[1].flatten().tolist() == pytest.approx([1, 1, 0, 1], abs=1e-3), "all that speaks for the target"
    alone, _ = searched([0])
    assert torch.allclose(alone, images[:1], atol=1e-6)
