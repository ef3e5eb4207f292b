"""Sparsity against closed forms, torchmetrics and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from judged import batch_of, judges_of, random_images, scores_of, values_of
from skimage.measure import label
from torchmetrics.functional.image import total_variation

from cfbench.batch import Batch
from cfbench.metrics.base import Metric
from cfbench.metrics.sparsity import (
    Gini,
    Hoyer,
    Regions,
    Sparsity,
    Sparsity1,
    Sparsity5,
    Sparsity25,
    TotalVariation,
)


def change_of(levels: torch.Tensor) -> Batch:
    """Counterfactuals that differ from mid-gray queries by ``levels`` [B, C, H, W]."""
    queries = torch.full_like(levels, 100, dtype=torch.uint8)
    made = (queries.short() + levels).to(torch.uint8)
    return batch_of(judges_of(image_shape=tuple(levels.shape[1:])), queries, made, given=[1] * len(levels))


@pytest.mark.parametrize(("kind", "threshold"), [(Sparsity1, 1), (Sparsity5, 5), (Sparsity, 10), (Sparsity25, 25)])
def test_a_pixel_counts_beyond_the_threshold_in_any_channel(kind: type[Metric], threshold: int) -> None:
    levels = torch.zeros(2, 3, 4, 5, dtype=torch.int16)
    levels[0, 0, 0, 0], levels[0, 2, 1, 1], levels[0, :, 3, 4] = threshold, -(threshold + 1), threshold + 1
    assert values_of(kind, change_of(levels)).tolist() == [2 / 20, 0]


@pytest.mark.parametrize("n", [4, 25])
def test_concentration_of_one_pixel_and_of_all_alike(n: int) -> None:
    """Gini 1 - 1/n and 0, Hoyer 1 and 0, whatever the size and sign of the change."""
    levels = torch.zeros(3, 1, 1, n, dtype=torch.int16)
    levels[0, 0, 0, 2], levels[1] = -70, 3
    gini, hoyer = (values_of(kind, change_of(levels)) for kind in (Gini, Hoyer))
    np.testing.assert_allclose(gini, [1 - 1 / n, 0, np.nan], atol=1e-15)
    np.testing.assert_allclose(hoyer, [1, 0, np.nan], atol=1e-15)
    assert (hoyer[:2] >= 0).all()


def test_gini_is_the_mean_absolute_difference_over_twice_the_mean() -> None:
    batch = change_of(random_images(4, (2, 3, 5)).short() % 60)
    sizes = batch.levels.abs().double().flatten(1).numpy()
    expected = [np.abs(row[:, None] - row).mean() / (2 * row.mean()) for row in sizes]
    np.testing.assert_allclose(values_of(Gini, batch), expected, rtol=1e-12)


def test_doing_nothing_is_undefined_and_counted_so() -> None:
    levels = torch.zeros(3, 1, 2, 2, dtype=torch.int16)
    assert scores_of(Gini, change_of(levels))["all"].reason == "undefined on every query"
    levels[0, 0, 0, 0] = 9
    score = scores_of(Gini, change_of(levels))["all"]
    assert (score.value, score.n) == (0.75, 1)


@pytest.mark.parametrize("shape", [(1, 6, 9), (3, 5, 5)])
def test_total_variation_is_torchmetrics_a_pixel_and_channel(shape: tuple[int, int, int]) -> None:
    batch = batch_of(
        judges_of(image_shape=shape), random_images(4, shape, 0), random_images(4, shape, 1), given=[1] * 4
    )
    expected = total_variation(batch.change, reduction="none") / np.prod(shape)
    np.testing.assert_allclose(values_of(TotalVariation, batch), expected, rtol=1e-12)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_regions_are_scikit_images_components_an_image(share: float) -> None:
    stream = torch.Generator().manual_seed(0)
    levels = (torch.rand(12, 2, 14, 11, generator=stream) < share / 2).short() * 11
    batch = change_of(levels)
    expected = []
    for changed in (levels.amax(dim=1) > 10).numpy():
        sizes = np.bincount(label(changed, connectivity=2).ravel())[1:]
        expected.append(int((sizes >= 3).sum()))
    assert values_of(Regions, batch).tolist() == expected
    assert max(expected) > 0


def test_regions_by_hand() -> None:
    """Diagonal neighbours connect; two pixels are too few; regions of one image do not run into the next."""
    levels = torch.zeros(4, 1, 5, 5, dtype=torch.int16)
    levels[0, 0, [0, 1, 2], [0, 1, 2]] = 50
    levels[0, 0, [4, 4], [0, 1]] = 50
    levels[1, 0, [0, 0, 0, 4, 4, 4], [2, 3, 4, 2, 3, 4]] = -50
    levels[3] = 50
    assert values_of(Regions, change_of(levels)).tolist() == [1, 2, 0, 1]
