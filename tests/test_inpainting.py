"""Masks of the largest changes, on images of few pixels, and denoising that leaves the rest alone."""

from __future__ import annotations

import pytest
import torch
from known_diffusion import GaussianDiffusion
from torch import Tensor

from cfbench.denoising import Chain
from cfbench.inpainting import blocks, changed, repaint


def picture(**pixels: float) -> Tensor:
    """A 2-channel image of 5 x 5 with values at ``x<row><column>`` in both channels, -1 and 1 times."""
    image = torch.zeros(1, 2, 5, 5)
    for name, value in pixels.items():
        image[0, :, int(name[1]), int(name[2])] = torch.tensor([value, -value])
    return image


def marked(mask: Tensor) -> set[tuple[int, int]]:
    return {(int(row), int(column)) for row, column in mask[0, 0].nonzero()}


@pytest.mark.parametrize(
    ("threshold", "dilation", "expected"),
    [
        (0.15, 1, {(0, 0), (3, 3)}),
        (0.6, 1, {(3, 3)}),
        (0.6, 3, {(row, column) for row in (2, 3, 4) for column in (2, 3, 4)}),
        (0.0, 1, {(row, column) for row in range(5) for column in range(5)}),
    ],
)
def test_what_changed_most_is_marked(threshold: float, dilation: int, expected: set[tuple[int, int]]) -> None:
    """Of 0.2, 0.02 and 0.4 in two channels each, shares of 0.5, 0.05 and 1."""
    images = torch.rand(1, 2, 5, 5, generator=torch.Generator().manual_seed(1))
    others = images + picture(x00=0.2, x04=0.02, x33=0.4)
    assert marked(changed(images, others, threshold=threshold, dilation=dilation)) == expected


def test_equal_images_differ_nowhere() -> None:
    images = torch.rand(1, 2, 5, 5)
    assert not changed(images, images, threshold=0.15, dilation=5).any()


def test_a_block_is_in_if_one_of_its_pixels_is() -> None:
    mask = torch.zeros(1, 1, 6, 6, dtype=torch.bool)
    mask[0, 0, 1, 2] = mask[0, 0, 5, 5] = True
    assert marked(blocks(mask, 2)) == {(0, 1), (2, 2)}


def test_what_lies_outside_comes_out_as_it_was_and_inside_as_denoised() -> None:
    """The known denoiser works on every value by itself, so that inside the noise alone decides."""
    chain = Chain(GaussianDiffusion.of_pixels(channels=1, side=8, classes=3, widths=(8, 8)), count=20, depth=6)
    random = torch.Generator().manual_seed(2)
    noised, values = torch.randn(2, 3, 4, 4, 4, generator=random)
    inside = torch.rand(3, 1, 4, 4, generator=random) < 0.5
    noises = list(torch.randn(11, 3, 4, 4, 4, generator=random))
    found = repaint(chain, noised, values, inside, iter(noises).__next__)
    alone = chain.denoise(noised, 6, noise=iter(noises[1::2]).__next__)
    expected = torch.where(inside, alone, values)
    assert torch.allclose(found, expected, atol=1e-6)
