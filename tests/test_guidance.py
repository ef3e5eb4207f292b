"""Cones and consensus on vectors of two and three dimensions, worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cfbench.guidance import consensus, nearest_in_cone, unit

HALF, ROOT = 0.5, math.sqrt(3) / 2
"""Sine and cosine of 30 degrees."""


def vectors(*values: tuple[float, ...]) -> Tensor:
    """Vectors as images of one position, ``[B, c, 1, 1]``."""
    return torch.tensor(values)[:, :, None, None]


@pytest.mark.parametrize(
    ("vector", "axis", "expected"),
    [
        ((0.0, 7.0), (3.0, 0.0), (ROOT, HALF)),
        ((0.0, -7.0), (3.0, 0.0), (ROOT, -HALF)),
        ((4.0, 2.0), (3.0, 0.0), (4 / math.sqrt(20), 2 / math.sqrt(20))),
        ((-2.0, 1e-3), (5.0, 0.0), (ROOT, HALF)),
        ((3.0, 4.0, 0.0), (0.0, 0.0, 2.0), (0.6 * HALF, 0.8 * HALF, ROOT)),
        ((3.0, 4.0, -1.0), (0.0, 0.0, 2.0), (0.6 * HALF, 0.8 * HALF, ROOT)),
        ((0.3, 0.4, 1.0), (0.0, 0.0, 2.0), (0.3 / math.sqrt(1.25), 0.4 / math.sqrt(1.25), 1 / math.sqrt(1.25))),
    ],
)
def test_a_cone_of_thirty_degrees(
    vector: tuple[float, ...], axis: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    found = nearest_in_cone(vectors(vector), vectors(axis), 30.0)
    assert torch.allclose(found, vectors(expected), atol=1e-6)


def test_it_is_the_direction_of_the_nearest_point_of_the_cone() -> None:
    """Against a search over the rim of the cone, in whose frame the first axis of space is the cone's own."""
    random = torch.Generator().manual_seed(4)
    frame, _ = torch.linalg.qr(torch.randn(3, 3, generator=random))
    vector = torch.randn(3, generator=random)
    turns = torch.linspace(0, 2 * math.pi, 100_000)
    widest = torch.full_like(turns, math.radians(40))
    rim = torch.stack([widest.cos(), widest.sin() * turns.cos(), widest.sin() * turns.sin()], dim=1) @ frame.T
    points = rim * (rim @ vector).clamp_min(0)[:, None]
    best = rim[(points - vector).norm(dim=1).argmin()]
    found = nearest_in_cone(vector[None, :, None, None], frame[:, 0][None, :, None, None], 40.0)
    assert torch.allclose(found.flatten(), best, atol=1e-4)


def test_no_direction_has_no_length() -> None:
    assert torch.equal(unit(torch.zeros(2, 3, 1, 1)), torch.zeros(2, 3, 1, 1))


def test_consensus_keeps_the_positions_that_agree() -> None:
    """Two positions of 39 and 41 degrees, one against, one where the other has nothing to say."""
    degrees = torch.tensor([39.0, 41.0, 180.0])
    slopes = torch.stack([2 * torch.cos(torch.deg2rad(degrees)), 2 * torch.sin(torch.deg2rad(degrees))])
    slopes = torch.cat([slopes, torch.ones(2, 1)], dim=1)[None, :, None]
    others = torch.tensor([[5.0, 5.0, 5.0, 0.0], [0.0, 0.0, 0.0, 0.0]])[None, :, None]
    found = consensus(slopes, others, 40.0)
    assert torch.equal(found[..., :1], slopes[..., :1])
    assert torch.equal(found[..., 1:], torch.zeros(1, 2, 1, 3))
    assert torch.equal(consensus(slopes, others, 180.0), slopes)
