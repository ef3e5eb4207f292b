"""Exceptional features made normal, with features and images that can be computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from linear_toy import BASIS, LATENT, PIXELS, READING, LinearToy, LinearVAE, explained, picture
from torch import Tensor, nn

from cfbench.errors import InvalidParameter
from cfbench.images import dequantise
from cfbench.networks import FeatureNetwork
from cfbench.registry import METHODS
from cfbench.task import Task
from cfbench.testing.toy import SIDE

SILENT = 0.45
"""Brightness above the noise of the toy pictures, and below their squares."""
SCALE = 60.0
THIRDS = torch.eye(3).repeat_interleave(SIDE // 3, dim=1)[:, None, :].expand(3, SIDE, SIDE)
"""Where each third of a picture is, ``[3, 12, 12]``."""


class Parts(nn.Module):
    def __init__(self, silent: float) -> None:
        super().__init__()
        self.silent = silent

    def forward(self, images: Tensor) -> Tensor:
        return SCALE * (images - self.silent).relu() * THIRDS


class Squares(FeatureNetwork):
    """A feature and logit a third: how bright its pixels are beyond a level."""

    silent = SILENT

    def __init__(self) -> None:
        super().__init__([Parts(self.silent)], width=3, classes=3, mean=(0.0,), std=(1.0,))
        nn.init.eye_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.requires_grad_(False)


class Brightness(Squares):
    silent = 0.0


class SquaresToy(LinearToy):
    made: ClassVar[dict[str, type[nn.Module]]] = {"vae": LinearVAE, "classifier": Squares}


class BrightnessToy(LinearToy):
    made: ClassVar[dict[str, type[nn.Module]]] = {"vae": LinearVAE, "classifier": Brightness}


def read(images: Tensor, silent: float = SILENT) -> Tensor:
    """Features by hand, ``[B, 3]``."""
    return SCALE * ((images - silent).clamp(min=0) * THIRDS[:, None, None]).mean(dim=(2, 3, 4)).T


def known(task: Task, silent: float = SILENT) -> list[Tensor]:
    """Features of the training images of each class."""
    pool = task.dataset.split("pool")
    features = read(dequantise(pool.images), silent)
    return [features[features.argmax(1) == label] for label in range(3)]


@pytest.mark.parametrize("proximity", [0.0, 3.0])
def test_a_feature_that_speaks_where_the_target_is_silent_is_silenced_and_the_other_way_round(
    proximity: float, toy_folder: Path
) -> None:
    """One step goes against the sign of ``basis @ (2 * (features - wanted) * their slopes / scale + pull)``."""
    task = Task(SquaresToy(toy_folder))
    outcome, _ = explained(task, "piece", threshold=0.05, proximity=proximity, steps=1, rate=0.05, confidence=0.999)
    queries, sources, targets = task.images(slice(12)), task.sources[:12], task.targets[:12]
    wanted = read(queries)
    for query, (source, target) in enumerate(zip(sources.tolist(), targets.tolist(), strict=True)):
        assert (wanted[query] > 0).tolist() == [label == source for label in range(3)]
        wanted[query, source] = 0
        wanted[query, target] = known(task)[target][:, target].mean()
    assert outcome.columns["exceptional"].tolist() == pytest.approx([2 / 3] * 12)
    start = queries.flatten(1) @ READING
    made = picture(start)
    missed = 2 * (read(made) - wanted) / read(queries).square().sum(1, keepdim=True)
    slope = torch.einsum("bc,chw->bhw", missed, THIRDS) * (made[:, 0] > SILENT) * SCALE
    slope = (slope + proximity * (made - queries)[:, 0].sign()).flatten(1) / PIXELS
    codes = start - 0.05 * (slope @ BASIS[:LATENT].T).sign()
    assert float((outcome.images.flatten(1) / 255 - picture(codes).flatten(1)).abs().max()) <= 0.5 / 255 + 1e-4


@pytest.mark.parametrize("threshold", [0.05, 0.3, 1.0])
def test_how_rare_a_feature_is_among_images_of_the_target(threshold: float, toy_folder: Path) -> None:
    task = Task(BrightnessToy(toy_folder))
    outcome, _ = explained(task, "piece", threshold=threshold, steps=1)
    classes = [features.numpy() for features in known(task, silent=0.0)]
    shares = []
    for features, target in zip(read(task.images(slice(12)), silent=0.0).numpy(), task.targets[:12], strict=True):
        among = classes[int(target)]
        tails = [min(np.mean(among[:, k] <= features[k]), np.mean(among[:, k] >= features[k])) for k in range(3)]
        shares.append(np.mean([tail < threshold for tail in tails]))
    assert outcome.columns["exceptional"].tolist() == pytest.approx(shares)
    assert 0 < np.mean(shares) <= 1


def test_a_target_that_no_training_image_has_fails(toy_folder: Path) -> None:
    class Never(Squares):
        def __init__(self) -> None:
            super().__init__()
            self.head.bias[0] = -1e3

    class NeverToy(LinearToy):
        made: ClassVar[dict[str, type[nn.Module]]] = {"vae": LinearVAE, "classifier": Never}

    task = Task(NeverToy(toy_folder))
    outcome, _ = explained(task, "piece", steps=2)
    assert [bool(error) for error in outcome.errors] == (task.targets[:12] == 0).tolist()
    assert 0 < sum(map(bool, outcome.errors)) < 12


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"threshold": 1.5}, "0 < threshold <= 1"),
        ({"proximity": -1.0}, "proximity -1.0"),
        ({"confidence": 1.0}, "0 < confidence < 1"),
        ({"steps": 0}, "steps 0"),
        ({"rate": 0.0}, "rate above 0"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        METHODS.load("piece").create(parameters)
