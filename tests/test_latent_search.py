"""Latent search against closed forms: a linear generator and a linear classifier of two classes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from cfbench.classifier import Classifier
from cfbench.images import dequantise, quantise
from cfbench.latent_search import search

SLOPE = 10.0
BOUNDARY = 0.5


class Threshold(nn.Module):
    """Logits ``(0, SLOPE * (mean - BOUNDARY))`` of an image's mean."""

    def forward(self, images: Tensor) -> Tensor:
        logit = SLOPE * (images.flatten(1).mean(1) - BOUNDARY)
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


def flat(codes: Tensor) -> Tensor:
    """Images of 2 x 2 pixels that are all half the code, ``[B, 1]``."""
    return (codes / 2)[:, :, None, None].expand(-1, 1, 2, 2)


def classifier() -> Classifier:
    return Classifier(Threshold(), num_classes=2)


def logit(chance: float) -> float:
    return math.log(chance / (1 - chance))


QUERIES = torch.tensor([[0.3], [0.45], [0.6]])
"""Brightness of three queries, of which the last is of the target class already."""


def test_a_query_is_taken_once_the_falling_weight_lets_it_be_sure() -> None:
    """The slopes cancel where ``SLOPE * (1 - p)`` is the weight, so p reaches c once the weight is SLOPE * (1 - c)."""
    chance, steps, proximity = 0.7, 200, 6.0
    found = search(
        flat,
        2 * QUERIES[:2],
        classifier(),
        flat(2 * QUERIES[:2]),
        torch.ones(2, dtype=torch.int64),
        proximity=proximity,
        steps=steps,
        rate=0.02,
        confidence=chance,
    )
    expected = steps * (1 - SLOPE * (1 - chance) / proximity)
    assert found.steps.tolist() == pytest.approx([expected] * 2, abs=0.05 * steps)
    assert torch.allclose(found.codes / 2, torch.full((2, 1), BOUNDARY + logit(chance) / SLOPE), atol=0.02)
    assert torch.equal(found.images, flat(found.codes)), "each image is of its own code"


def test_a_distance_that_weighs_more_than_the_target_keeps_the_query() -> None:
    found = search(
        flat,
        2 * QUERIES,
        classifier(),
        flat(2 * QUERIES),
        torch.tensor([1, 1, 0]),
        proximity=1e4,
        steps=50,
        rate=1e-3,
        confidence=0.999,
    )
    assert torch.allclose(found.codes / 2, QUERIES, atol=3e-3)
    assert found.steps.tolist() == [50] * 3


def test_the_first_step_of_each_code_is_the_rate_against_the_sign_of_its_gradient() -> None:
    found = search(
        flat,
        2 * QUERIES,
        classifier(),
        flat(2 * QUERIES),
        torch.tensor([1, 0, 0]),
        proximity=0.0,
        steps=1,
        rate=0.01,
        confidence=0.999,
    )
    assert torch.allclose(found.codes, 2 * QUERIES + torch.tensor([[0.01], [-0.01], [-0.01]]), atol=1e-6)


def test_a_query_is_taken_at_the_first_step_at_which_what_will_be_stored_is_sure() -> None:
    """Adam moves at its rate while the gradient hardly changes, so that steps count the distance to the boundary."""
    asked: list[int] = []

    def counted(codes: Tensor) -> Tensor:
        asked.append(len(codes))
        return flat(codes)

    chance = 0.6
    found = search(
        counted,
        2 * QUERIES,
        classifier(),
        flat(2 * QUERIES),
        torch.ones(3, dtype=torch.int64),
        proximity=0.0,
        steps=400,
        rate=8e-3,
        confidence=chance,
    )
    needed = BOUNDARY + logit(chance) / SLOPE
    stored = dequantise(quantise(found.images))
    assert (classifier().probabilities(stored)[:, 1] >= chance).all()
    brightness = found.images.flatten(1).mean(1)
    assert found.steps[2] == 0
    assert torch.equal(brightness[2:], QUERIES[2]), "what is sure already stays as it is"
    assert ((brightness[:2] >= needed - 0.5 / 255) & (brightness[:2] < needed + 0.5 / 255 + 4e-3)).all()
    assert found.steps[:2].tolist() == pytest.approx([(needed - 0.3) / 4e-3, (needed - 0.45) / 4e-3], rel=0.2)
    assert sum(asked) == int(found.steps.sum()) + 3, "an image a step and query, and none after it was taken"


def test_rounding_is_waited_for() -> None:
    """A brightness that is sure only before it is rounded down is not taken."""
    sure = (100 + 0.3) / 255
    found = search(
        flat,
        torch.tensor([[2 * sure]]),
        classifier(),
        flat(torch.tensor([[2 * sure]])),
        torch.ones(1, dtype=torch.int64),
        proximity=0.0,
        steps=100,
        rate=2e-4,
        confidence=float(torch.tensor(SLOPE * (sure - 1e-4 - BOUNDARY)).sigmoid()),
    )
    assert found.steps.item() > 0
    assert quantise(found.images).unique().tolist() == [101]


def test_codes_stay_where_they_may_be() -> None:
    found = search(
        flat,
        2 * QUERIES,
        classifier(),
        flat(2 * QUERIES),
        torch.ones(3, dtype=torch.int64),
        proximity=0.0,
        steps=100,
        rate=0.02,
        confidence=0.99,
        project=lambda codes: codes.clamp(max=1.3),
    )
    assert torch.allclose(found.codes, torch.full((3, 1), 1.3)), "brightness .65 is not sure enough, and is the end"


def test_one_that_diverges_leaves_the_others_as_they_are() -> None:
    def partly(codes: Tensor) -> Tensor:
        return flat(codes) / (codes[:, :, None, None] != 0.9).float().where(codes[:, :, None, None] != 0.9, torch.nan)

    def made(codes: Tensor, generate: object) -> tuple[Tensor, Tensor]:
        found = search(
            generate,  # type: ignore[arg-type]
            codes,
            classifier(),
            flat(codes),
            torch.ones(len(codes), dtype=torch.int64),
            proximity=1.0,
            steps=50,
            rate=0.01,
            confidence=0.7,
        )
        return found.images, found.steps

    images, steps = made(2 * QUERIES, partly)
    others, counts = made(2 * QUERIES[[0, 2]], flat)
    assert images[1].isnan().all()
    assert steps[1] == 50
    assert torch.equal(images[[0, 2]], others)
    assert torch.equal(steps[[0, 2]], counts)
