"""Where the object is: rules on images whose object is known, and the data sets that use them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.filters import threshold_otsu

from cfbench.objects import Brighter, DarkerThanBorder, otsu
from cfbench.registry import load_dataset


def spots(centre: tuple[int, int], radius: int, side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """A brown disc on skin in noise, uint8 ``[1, 3, side, side]``, and where it is, ``[side, side]``."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    disc = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2
    skin, brown = torch.tensor([220.0, 170, 150]), torch.tensor([110.0, 70, 60])
    image = torch.where(disc[..., None], brown, skin).permute(2, 0, 1)
    noise = 6 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    return (image + noise).clamp(0, 255).byte()[None], disc


def overlap(found: torch.Tensor, true: torch.Tensor) -> float:
    return float((found & true).sum() / (found | true).sum())


def test_brighter_is_above_the_level_in_any_channel() -> None:
    images = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
    images[0, 1, 0, 1], images[0, 0, 1, 1] = 26, 25
    assert Brighter(25)(images).tolist() == [[[False, True], [False, False]], [[False, False], [False, False]]]


@pytest.mark.parametrize(("centre", "radius"), [((32, 32), 6), ((32, 32), 20), ((24, 40), 10)])
def test_a_dark_spot_is_found(centre: tuple[int, int], radius: int) -> None:
    images, disc = spots(centre, radius)
    assert overlap(DarkerThanBorder()(images)[0], disc) > 0.85


def test_holes_are_filled_and_frames_corners_and_smaller_spots_left_out() -> None:
    images, disc = spots((32, 32), 14)
    clear = images.clone()
    images[:, :, 29:35, 29:35] = clear[:, :, :6, 20:26]
    images[:, :, :5], images[:, :, :, :5] = 0, 0
    images[:, :, 50:55, 46:50] = 60
    assert overlap(DarkerThanBorder()(images)[0], disc) > 0.85


def test_images_without_contrast_have_no_object() -> None:
    found = DarkerThanBorder()(torch.stack([torch.full((3, 64, 64), level) for level in (0, 128, 255)]).byte())
    assert found.shape == (3, 64, 64)
    assert found.dtype == torch.bool
    assert not found.any()


def test_otsu_is_that_of_scikit_image() -> None:
    stream = np.random.default_rng(0)
    values = np.concatenate([stream.normal(10, 3, 500), stream.normal(60, 8, 200)])
    assert otsu(values) == pytest.approx(threshold_otsu(values), abs=(values.max() - values.min()) / 256)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("fashion-mnist", 0.3, 0.6), ("mnist", 0.1, 0.3), ("isic", 0.1, 0.3), ("shapes", 0.05, 0.25)],
)
def test_packaged_queries_have_objects_of_a_plausible_size(name: str, least: float, most: float) -> None:
    dataset = load_dataset(name)
    assert dataset.objects is not None
    shares = dataset.objects(dataset.split("validation").images[:50]).float().mean((1, 2))
    assert (shares > 0).all()
    assert least < float(shares.mean()) < most


def test_faces_have_no_rule_and_a_mark_is_no_object() -> None:
    assert load_dataset("celeba-young").objects is None
    dataset = load_dataset("shapes-confounded-90")
    assert dataset.objects is not None
    assert not dataset.objects(dataset.split("test").images[:20])[:, -4:, -4:].any()
