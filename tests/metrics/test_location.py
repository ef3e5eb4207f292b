"""Where the change lies: closed forms, and what is left blank."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from judged import batch_of, judges_of, scores_of, values_of

from cfbench.batch import Batch
from cfbench.judges import ABSENT
from cfbench.metrics.base import Metric
from cfbench.metrics.location import ChangeFocus, ChangeInside
from cfbench.objects import Brighter


def change_of(objects: torch.Tensor, levels: torch.Tensor) -> Batch:
    """Queries of level 100 where their object is and 0 elsewhere, changed by ``levels`` [B, C, H, W]."""
    queries = (100 * objects[:, None]).expand_as(levels).to(torch.uint8)
    judges = judges_of(image_shape=tuple(levels.shape[1:]), objects=Brighter(25))
    made = (queries.short() + levels).to(torch.uint8)
    return batch_of(judges, queries, made, given=[1] * len(levels))


def test_shares_by_hand() -> None:
    """Changes add up over channels and count whatever their sign; an object of 4 of 16 pixels."""
    objects = torch.zeros(4, 4, 4, dtype=torch.bool)
    objects[:, :2, :2] = True
    levels = torch.zeros(4, 3, 4, 4, dtype=torch.int16)
    levels[0, 0, 0, 0], levels[0, 1, 0, 0], levels[0, 2, 3, 3] = -20, 10, 10
    levels[1] = 5
    levels[2, :, 1, 1] = -7
    levels[3, :, 2:, 2:] = 9
    batch = change_of(objects, levels)
    np.testing.assert_allclose(values_of(ChangeInside, batch), [0.75, 0.25, 1, 0], rtol=1e-12)
    np.testing.assert_allclose(values_of(ChangeFocus, batch), [3, 1, 4, 0], rtol=1e-12)


@pytest.mark.parametrize("kind", [ChangeInside, ChangeFocus])
def test_no_change_and_no_object_are_undefined(kind: type[Metric]) -> None:
    objects = torch.zeros(3, 4, 4, dtype=torch.bool)
    objects[0], objects[1, 0] = True, True
    levels = torch.zeros(3, 1, 4, 4, dtype=torch.int16)
    levels[0], levels[2, 0, 0, 0] = 3, 3
    batch = change_of(objects, levels)
    np.testing.assert_array_equal(values_of(kind, batch), [1, np.nan, np.nan])
    assert scores_of(kind, batch)["all"].n == 1


@pytest.mark.parametrize("kind", [ChangeInside, ChangeFocus])
def test_blank_where_the_data_set_does_not_say(kind: type[Metric]) -> None:
    assert kind(judges_of()).blocked() == ABSENT["objects"]
