"""Warping and recolouring: how far they go, and that nothing invents pixels."""

from __future__ import annotations

import math

import pytest
import torch

from cfbench.augmentation import recolour, warp


def test_warping_keeps_an_image_of_one_colour_and_moves_a_dot_as_far_as_it_says() -> None:
    stream = torch.Generator().manual_seed(0)
    plain = torch.full((8, 3, 16, 16), 0.4)
    torch.testing.assert_close(warp(plain, stream), plain)

    side, count = 65, 500
    images = torch.zeros(count, 1, side, side)
    row = torch.arange(side).float()
    images[:, :, 31:34, 31:34] = 1
    images[:, :, 31:34, 47:50] = 4
    warped = warp(images, stream)
    bright = (warped > 1.5) * warped
    mass = bright.sum((1, 2, 3))
    across = (bright.sum((1, 2)) * row).sum(1) / mass - 32
    down = (bright.sum((1, 3)) * row).sum(1) / mass - 32
    angles = torch.atan2(down, across)
    distances = (across.square() + down.square()).sqrt()
    moved = 0.05 * side * math.sqrt(2) / 0.75
    assert angles.abs().max() <= math.pi / 4 + math.asin(moved / 14)
    assert angles.abs().max() > math.pi / 5
    assert float(distances.min()) >= 16 / 1.05 - moved - 0.5
    assert float(distances.max()) <= 16 / 0.75 + moved + 0.5


def test_recolouring_stays_in_range_and_within_its_amounts() -> None:
    stream = torch.Generator().manual_seed(0)
    images = torch.full((400, 3, 4, 4), 0.5)
    changed = recolour(images, stream)
    assert changed.min() >= 0.4 * 0.9 - 1e-6
    assert changed.max() <= 0.6 * 1.1 + 1e-6
    assert changed.flatten(2).std(dim=2).max() == pytest.approx(0, abs=1e-6), "one colour stays one colour"
    noisy = torch.rand(400, 3, 8, 8, generator=stream)
    changed = recolour(noisy, stream)
    assert changed.min() >= 0
    assert changed.max() <= 1
    ratio = changed.clamp(0.01, 0.99).flatten(1).std(1) / noisy.flatten(1).std(1)
    assert ratio.max() < 1.2 * 1.1 + 0.05
