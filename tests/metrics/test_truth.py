"""Ground-truth metrics: the renderer's own counterfactual gets full marks, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from judged import batch_of, judges_of, scores_of, values_of
from squares import MARK, SIDE, Squares
from torch import Tensor

from cfbench.batch import Batch
from cfbench.metrics.base import Metric
from cfbench.metrics.truth import (
    DiscoveryRate,
    FactorSuccess,
    LocalisationIoU,
    NuisancePreservation,
    Selectivity,
    TruthDistance,
)
from cfbench.stats import wilson

RENDERER = Squares()
FULL = (FactorSuccess, NuisancePreservation, Selectivity, TruthDistance, LocalisationIoU)


def queries() -> Tensor:
    """Factors of six images, three of a class."""
    return torch.tensor(
        [
            [0, 2, 120, 0],
            [0, 5, 200, 1],
            [0, 8, 240, 0],
            [1, 3, 160, 1],
            [1, 4, 240, 0],
            [1, 7, 120, 1],
        ]
    ).float()


def batch_with(made: Tensor, **options: object) -> Batch:
    """Counterfactuals of the six queries, each asked for the other class."""
    judges = judges_of(classes=2, image_shape=(3, SIDE, SIDE), truth=RENDERER, verdicts="given")
    sources = queries()[:, 0].long()
    images = RENDERER.render(queries())
    return batch_of(judges, images, made, sources=sources, targets=1 - sources, given=(1 - sources).tolist(), **options)


def edited(**values: Tensor | float) -> Tensor:
    """The queries rendered again with some factors set."""
    factors = queries()
    for name, value in values.items():
        factors[:, RENDERER.factors.index(name)] = torch.as_tensor(value, dtype=torch.float32)
    return RENDERER.render(factors)


def marks(batch: Batch) -> list[float | None]:
    return [scores_of(kind, batch)["all"].value for kind in FULL]


def test_the_renderer_reads_what_it_drew() -> None:
    torch.testing.assert_close(RENDERER.read(RENDERER.render(queries())), queries())


def test_the_renderers_own_counterfactual_gets_full_marks() -> None:
    made = edited(shape=1 - queries()[:, 0])
    assert marks(batch_with(made)) == [1, 1, 1, 0, 1]


def test_doing_nothing_succeeds_in_nothing() -> None:
    """No factor changes: selectivity is undefined, and what stays counts only where the class is reached.

    The true change is of 2 x 2 pixels in three channels.
    """
    batch = batch_with(edited())
    success, preserved, selectivity, distance, overlap = marks(batch)
    assert (success, preserved, selectivity, overlap) == (0, 0, None, 0)
    assert scores_of(Selectivity, batch)["all"].reason == "undefined on every query"
    levels = queries()[:, 2].numpy()
    expected = (levels + 2 * (levels // 2)) * 4 / (3 * SIDE**2) / 255
    np.testing.assert_allclose(values_of(TruthDistance, batch), expected)
    assert distance == pytest.approx(expected.mean())


def test_noise_neither_preserves_nor_is_near() -> None:
    stream = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (6, 3, SIDE, SIDE), generator=stream, dtype=torch.uint8)
    success, preserved, selectivity, distance, overlap = marks(batch_with(noise))
    assert success is not None
    assert success < 1
    assert preserved is not None
    assert preserved < 0.8
    assert selectivity is None or selectivity < 0.6
    assert distance is not None
    assert distance > 0.3
    assert overlap == pytest.approx(4 / SIDE**2, rel=0.1)


def test_a_wrong_edit_by_hand() -> None:
    """Moves the square by two columns and the brightness to 240, never the shape."""
    before = queries()
    moved = torch.where(before[:, 1] > 5, before[:, 1] - 2, before[:, 1] + 2)
    batch = batch_with(edited(column=moved, brightness=240))
    success, _, selectivity, _, overlap = marks(batch)
    assert (success, selectivity) == (0, 0)
    assert not values_of(NuisancePreservation, batch).any(), "the class was not reached"
    assert overlap is not None
    assert overlap < 0.5


def test_what_stays_is_counted_by_factor_where_the_class_is_reached() -> None:
    """Half of the queries reach it; all move the column and set the brightness to 240, which two had before."""
    before = queries()
    moved = torch.where(before[:, 1] > 5, before[:, 1] - 2, before[:, 1] + 2)
    reached = torch.arange(6) % 2 == 0
    shape = torch.where(reached, 1 - before[:, 0], before[:, 0])
    batch = batch_with(edited(shape=shape, column=moved, brightness=240))
    same = (before[:, 2] == 240).double()
    assert values_of(NuisancePreservation, batch).tolist() == pytest.approx(((1 + same) / 3 * reached).tolist())


def test_the_right_change_with_another_is_shared_out() -> None:
    """Shape moves by 1 of 1, column by 3 of 6: selectivity 1 / 1.5; two of the three nuisance factors stay."""
    before = queries()
    moved = torch.where(before[:, 1] > 5, before[:, 1] - 3, before[:, 1] + 3)
    batch = batch_with(edited(shape=1 - before[:, 0], column=moved))
    success, preserved, selectivity, distance, overlap = marks(batch)
    assert (success, preserved, selectivity) == pytest.approx((1, 2 / 3, 1 / 1.5))
    assert distance is not None
    assert distance > 0
    assert overlap is not None
    assert 0 < overlap < 0.5


def test_a_failed_query_does_not_succeed() -> None:
    batch = batch_with(edited(shape=1 - queries()[:, 0]), failed=[0, 1])
    assert scores_of(FactorSuccess, batch)["all"].value == 4 / 6


def test_the_overlap_is_intersection_over_union_of_pixels() -> None:
    """Half of the true change, and as many pixels elsewhere: 2 of 6."""
    made = edited()[:1]
    true = edited(shape=1 - queries()[:, 0])[:1]
    changed = ((true != made).any(dim=1)[0]).nonzero()
    made[0, :, changed[:2, 0], changed[:2, 1]] = true[0, :, changed[:2, 0], changed[:2, 1]]
    made[0, :, 15, :2] = 255
    judges = judges_of(classes=2, image_shape=(3, SIDE, SIDE), truth=RENDERER, verdicts="given")
    batch = batch_of(judges, edited()[:1], made, given=[1])
    assert values_of(LocalisationIoU, batch).item() == pytest.approx(2 / 6)


def test_the_discovery_rate_is_the_share_of_flips_that_move_the_mark() -> None:
    """The mark is switched in four of six, of which one does not flip and one failed."""
    factors = queries()
    factors[:4, 3] = 1 - factors[:4, 3]
    made = RENDERER.render(factors)
    assert (made[0, :, :2, :2] == MARK).all()
    batch = batch_with(made, failed=[1])
    batch.given = torch.where(torch.arange(6) == 0, batch.sources, batch.targets)
    score = scores_of(DiscoveryRate, batch)["flipped"]
    assert (score.value, score.n, score.ci95, score.network) == (2 / 4, 4, wilson(2, 4), None)


@pytest.mark.parametrize("kind", FULL)
def test_without_a_renderer_they_are_blank(kind: type[Metric]) -> None:
    assert kind(judges_of()).blocked() == "there is no renderer that knows the true factors"


def test_without_a_confounder_nothing_can_be_discovered() -> None:
    judges = judges_of(truth=Squares(confounder=False))
    assert DiscoveryRate(judges).blocked() == "no factor is a confounder"
