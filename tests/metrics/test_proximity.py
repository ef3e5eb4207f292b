"""Distances against numpy, torchmetrics and scikit-image; latent divergence by hand."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from judged import Formula, batch_of, judges_of, member, numbered, random_images, values_of
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from cfbench.batch import Batch
from cfbench.dataset import Images
from cfbench.metrics.proximity import L1, L2, SSIM, ElasticNet, LatentDivergence, LInf


def batch(shape: tuple[int, int, int], count: int = 5) -> Batch:
    return batch_of(
        judges_of(image_shape=shape), random_images(count, shape, 0), random_images(count, shape, 1), given=[1] * count
    )


@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 6, 6)])
def test_norms_are_numpys_on_the_stored_bytes(shape: tuple[int, int, int]) -> None:
    given = batch(shape)
    delta = (given.stored.numpy().astype(float) - given.stored_queries.numpy().astype(float)).reshape(5, -1) / 255
    norm = partial(np.linalg.norm, delta, axis=1)
    size = delta.shape[1]
    for kind, expected in (
        (L1, norm(1) / size),
        (L2, norm(2) / math.sqrt(size)),
        (LInf, norm(np.inf)),
        (ElasticNet, norm(1) + norm(2)),
    ):
        np.testing.assert_allclose(values_of(kind, given), expected, rtol=1e-12)


def smoothed(shape: tuple[int, int, int], seed: int) -> torch.Tensor:
    """Random images with structure: coarse noise enlarged."""
    coarse = random_images(4, (shape[0], 5, 5), seed).float()
    return torch.nn.functional.interpolate(coarse, size=shape[1:], mode="bilinear").round().to(torch.uint8)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 33, 40), (1, 11, 11)])
def test_ssim_is_torchmetrics_and_scikit_images_inside_the_border(shape: tuple[int, int, int]) -> None:
    """Both pad by reflection and give the whole map; only windows that lie inside the image count here."""
    queries = smoothed(shape, 0)
    made = (queries.short() + random_images(4, shape, 1) % 80 - 40).clamp(0, 255).to(torch.uint8)
    found = values_of(SSIM, batch_of(judges_of(image_shape=shape), queries, made, given=[1] * 4)).numpy()
    pairs = [images.double().numpy() / 255 for images in (queries, made)]
    options = {"data_range": 1.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for index, (a, b) in enumerate(zip(*pairs, strict=True)):
        local = structural_similarity(a, b, channel_axis=0, full=True, win_size=11, **options)[1]
        assert found[index] == pytest.approx(local[:, 5 : shape[1] - 5, 5 : shape[2] - 5].mean(), rel=1e-9)
    _, local = structural_similarity_index_measure(
        *(torch.from_numpy(images) for images in pairs), data_range=1.0, sigma=1.5, return_full_image=True
    )
    inside = local[:, :, 5 : shape[1] - 5, 5 : shape[2] - 5]
    np.testing.assert_allclose(found, inside.flatten(1).mean(dim=1), rtol=1e-9)


def test_ssim_of_equal_images_is_one_and_of_small_ones_blank() -> None:
    images = random_images(3, (1, 12, 12))
    same = batch_of(judges_of(image_shape=(1, 12, 12)), images, images, given=[0] * 3)
    assert values_of(SSIM, same).tolist() == pytest.approx([1.0] * 3)
    assert SSIM(judges_of(image_shape=(1, 10, 30))).blocked() == "its window is 11 pixels wide, images have 10"


@pytest.mark.parametrize(
    ("level", "nearer", "farther"),
    [(0, 0.0, 1.0), (10, 0.0, 1.0), (24, 0.0, 0.75), (25, 0.25, 0.5), (40, 0.5, 0.25), (100, 1.0, 0.0)],
)
def test_latent_divergence_by_hand(level: int, nearer: float, farther: float) -> None:
    """Features are the first pixel's level; the query is at 0. Real images of the source class (0) are at 20, 24, 35,
    50 and of the target class (1) at 25, 40, 60, 90; those of class 2 do not count."""
    real = Images(numbered([20, 24, 35, 50, 25, 40, 60, 90, 1, 2]), torch.tensor([0] * 4 + [1] * 4 + [2] * 2))
    extractor = Formula(lambda images: images[:, :, 0, 0].double().mul(255).round())
    judges = judges_of(member("extractor", extractor), reference=real)
    made = batch_of(judges, numbered([0]), numbered([level]), given=[1])
    expected = math.log(math.exp(nearer) + math.exp(farther))
    assert values_of(LatentDivergence, made).item() == pytest.approx(expected)


def test_latent_divergence_is_between_log_2_and_log_2e() -> None:
    """Beyond all of the source class and short of the target's is log 2; the other way round is log 2e."""
    low, high = LatentDivergence.bounds
    assert (low, high) == pytest.approx((math.log(2), math.log(2 * math.e)))
    extractor = Formula(lambda images: images[:, :, 0, 0].double().mul(255).round())
    for real, expected in (([20, 90], math.log(2)), ([90, 20], math.log(2 * math.e))):
        reference = Images(numbered(real), torch.tensor([0, 1]))
        judges = judges_of(member("extractor", extractor), reference=reference)
        found = values_of(LatentDivergence, batch_of(judges, numbered([0]), numbered([50]), given=[1]))
        assert found.item() == pytest.approx(expected)


def test_latent_divergence_is_undefined_without_finite_features() -> None:
    """NaN is neither near nor far, which would look like the best value."""
    nan = Formula(lambda images: torch.where(images[:, :, 0, 0] > 0, torch.nan, 0.0))
    reference = Images(numbered([0, 0]), torch.tensor([0, 1]))
    judges = judges_of(member("extractor", nan), reference=reference)
    found = values_of(LatentDivergence, batch_of(judges, numbered([0, 0, 9]), numbered([0, 9, 0]), given=[1] * 3))
    assert found.isnan().tolist() == [False, True, True]
