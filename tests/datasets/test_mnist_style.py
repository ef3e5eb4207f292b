"""Factors of style, on bars of known size and on real digits changed by a known amount."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from cfbench.datasets.mnist.style import RANGES, slant_and_width, style, thickness
from cfbench.images import dequantise
from cfbench.registry import load_dataset


@pytest.fixture(scope="module")
def digits() -> Tensor:
    """200 digits ``[N, H, W]`` in [0, 1] with 6 more empty columns on either side."""
    ink = dequantise(load_dataset("mnist").split("reference").images[:200, 0])
    return torch.nn.functional.pad(ink, (6, 6))


def moved(ink: Tensor, matrix: list[list[float]]) -> Tensor:
    """Digits whose (row, column) offsets from the middle were multiplied by the inverse of ``matrix``."""
    middle = (np.array(ink.shape[1:]) - 1) / 2
    offset = middle - np.array(matrix) @ middle
    return torch.from_numpy(np.stack([ndimage.affine_transform(each, matrix, offset, order=1) for each in ink.numpy()]))


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("gray", [1.0, 0.3])
def test_the_thickness_of_a_long_bar_is_its_width_however_faint_it_is(width: int, gray: float) -> None:
    """Twice the area over the outline of a bar of 100 rows; the outline cuts three of the four corners' pixels."""
    bar = torch.zeros(2, 110, 20)
    bar[0, 5:105, 7 : 7 + width] = gray
    bar[1] = bar[0].flip(0)
    assert thickness(bar) == pytest.approx([width] * 2, rel=0.05)


def test_dilation_adds_to_the_thickness_of_every_digit_what_it_adds_to_a_stroke(digits: Tensor) -> None:
    """A square of 3 pixels adds 1 on either side of a straight stroke, and more to the outline of a slanted one."""
    grown = torch.from_numpy(ndimage.grey_dilation(digits.numpy(), size=(1, 3, 3)))
    added = thickness(grown) - thickness(digits)
    assert float(added.min()) > 0.5
    assert float(added.median()) == pytest.approx(2, abs=0.5)


@pytest.mark.parametrize("shear", [-0.4, 0.2, 0.5])
def test_shearing_moves_the_slant_by_as_much_and_nothing_else(digits: Tensor, shear: float) -> None:
    sheared = moved(digits, [[1, 0], [shear, 1]])
    before, width = slant_and_width(digits)
    after, same = slant_and_width(sheared)
    assert float((after - before - shear).abs().max()) < 0.03
    assert float((same - width).abs().max()) < 0.15
    assert float((thickness(sheared) / thickness(digits) - 1).abs().median()) < 0.15


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_stretching_scales_the_width_and_the_slant(digits: Tensor, factor: float) -> None:
    before, width = slant_and_width(digits)
    after, stretched = slant_and_width(moved(digits, [[1, 0], [0, 1 / factor]]))
    assert float((stretched - factor * width).abs().max()) < 0.2, "interpolation widens thin strokes"
    assert float((after - factor * before).abs().max()) < 0.03


def test_moving_a_digit_changes_nothing(digits: Tensor) -> None:
    for there, here in zip(slant_and_width(digits.roll(3, 2)), slant_and_width(digits), strict=True):
        assert there.tolist() == pytest.approx(here.tolist(), abs=1e-4)
    assert thickness(digits.roll(3, 2)).tolist() == pytest.approx(thickness(digits).tolist(), rel=1e-5)


def test_degrees_are_factors_between_what_is_rare() -> None:
    """A scaled value each, cut off at 0 and 1; about 1 % of digits are cut off at either end."""
    images = load_dataset("mnist").split("reference").images
    degrees = style(images)
    assert degrees.shape == (3000, len(RANGES))
    ink = dequantise(images)[:, 0]
    for column, (low, high), values in zip(
        degrees.T, RANGES.values(), [thickness(ink), *slant_and_width(ink)], strict=True
    ):
        inside = (column > 0) & (column < 1)
        assert column[inside].tolist() == pytest.approx(((values - low) / (high - low))[inside].tolist(), abs=1e-5)
        for cut, beyond in ((column == 0, values <= low), (column == 1, values >= high)):
            assert torch.equal(cut, beyond)
            assert 0.002 < float(cut.float().mean()) < 0.025


def test_an_image_without_ink_has_no_style() -> None:
    assert style(torch.zeros(1, 1, 28, 28, dtype=torch.uint8)).isnan().all()
