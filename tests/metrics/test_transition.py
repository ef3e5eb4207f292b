"""COUT: closed forms, two pixels by hand, and a transcription of its definition an image at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from judged import Formula, batch_of, judges_of, member, random_images, values_of
from torch import Tensor

from cfbench.batch import Batch
from cfbench.metrics.transition import COUT, ReferenceCOUT


def batch(network: Formula, queries: Tensor, made: Tensor, **options: object) -> Batch:
    judges = judges_of(member("classifier", network), image_shape=tuple(queries.shape[1:]))
    return batch_of(judges, queries, made, **options)


def constant(images: Tensor) -> Tensor:
    """Probabilities .7, .2, .1."""
    return torch.tensor([[0.7, 0.2, 0.1]]).log().expand(len(images), 3)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 11), (1, 2, 2)])
def test_a_constant_classifier_gives_the_difference_of_its_probabilities(shape: tuple[int, int, int]) -> None:
    given = batch(Formula(constant), random_images(3, shape, 0), random_images(3, shape, 1))
    np.testing.assert_allclose(values_of(COUT, given), -0.5, rtol=1e-6)


def test_the_reference_form_takes_the_last_step_as_wide_as_the_others() -> None:
    """53 steps of 15 pixels where an image has 784."""
    given = batch(Formula(constant), random_images(3, (1, 28, 28), 0), random_images(3, (1, 28, 28), 1))
    np.testing.assert_allclose(values_of(ReferenceCOUT, given), -0.5 * 53 * 15 / 784, rtol=1e-6)
    assert pytest.approx(1.014, abs=1e-3) == 53 * 15 / 784


def half_bright(images: Tensor) -> Tensor:
    """Probability of class 1 is the mean of the pixels, of class 0 the rest."""
    mean = images.double().flatten(1).mean(dim=1).clamp(1e-9, 1 - 1e-9)
    return torch.stack([(1 - mean).log(), mean.log()], dim=1)


def test_two_pixels_by_hand() -> None:
    """From (0, 0) to (.4, 1): the second goes in first, so p_t is 0, .5, .7 and its area (.25 + .6) / 2 = .425."""
    made = torch.tensor([102, 255], dtype=torch.uint8).view(1, 1, 1, 2)
    given = batch(Formula(half_bright), torch.zeros_like(made), made)
    assert values_of(COUT, given).item() == pytest.approx(0.425 - 0.575)


def first_pixel(images: Tensor) -> Tensor:
    lit = images[:, 0, 0, 0] > 0.5
    return torch.stack([~lit, lit], dim=1).double() * 1e3


def test_ties_go_in_reading_order() -> None:
    """All pixels change alike: the one that decides is in from the first step, and p_t is 0, 1, 1, 1, 1."""
    made = torch.full((1, 1, 2, 2), 200, dtype=torch.uint8)
    given = batch(Formula(first_pixel), torch.zeros_like(made), made)
    assert values_of(COUT, given).item() == pytest.approx(0.875 - 0.125)


@pytest.mark.parametrize("kind", [COUT, ReferenceCOUT])
def test_no_change_is_nought_whatever_the_classifier_says(kind: type[COUT]) -> None:
    images = random_images(2, (1, 4, 4))
    assert values_of(kind, batch(Formula(constant), images, images)).tolist() == [0, 0]


def linear(images: Tensor) -> Tensor:
    weights = torch.randn(images[0].numel(), 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return images.double().flatten(1) @ weights


def transcribed(query: np.ndarray, made: np.ndarray, target: int, source: int, step: int) -> float:
    """Put pixels in one step after the other, largest change first; trapezoids over the share that is in."""
    channels, pixels = query.shape[0], query[0].size
    change = np.abs(made.astype(int) - query).sum(axis=0).ravel()
    order = sorted(range(pixels), key=lambda pixel: (-change[pixel], pixel))
    shares, chances = [], []
    for inside in [*range(0, pixels, step), pixels]:
        mixed = query.reshape(channels, -1).copy()
        mixed[:, order[:inside]] = made.reshape(channels, -1)[:, order[:inside]]
        image = torch.from_numpy(mixed.reshape(1, *query.shape)).float() / 255
        chances.append(linear(image).softmax(dim=1)[0].numpy()[[target, source]])
        shares.append(inside / pixels)
    areas = np.trapezoid(np.array(chances), shares, axis=0)
    return float(areas[0] - areas[1])


@pytest.mark.parametrize(("shape", "step"), [((1, 28, 28), 15), ((3, 10, 16), 3), ((1, 5, 5), 1)])
def test_agrees_with_the_definition_followed_an_image_at_a_time(shape: tuple[int, int, int], step: int) -> None:
    """Half of the pixels of the second image do not change, and few levels make many ties."""
    queries, made = random_images(4, shape, 0), random_images(4, shape, 1)
    made[1, :, :, : shape[2] // 2] = queries[1, :, :, : shape[2] // 2]
    made[2] = queries[2] // 64 * 64
    sources, targets = [0, 1, 2, 0], [1, 2, 0, 2]
    found = values_of(COUT, batch(Formula(linear), queries, made, sources=sources, targets=targets))
    expected = [
        transcribed(query, counterfactual, target, source, step)
        for query, counterfactual, target, source in zip(queries.numpy(), made.numpy(), targets, sources, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)
