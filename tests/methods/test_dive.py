"""Several diverse counterfactuals with a linear generator and a linear classifier: a step is known in closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from linear_toy import BASIS, FILTERS, LATENT, PIXELS, READING, LinearToy, explained, picture
from own_pictures import Thirds
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.harness import evaluate
from cfbench.registry import METHODS
from cfbench.seeds import QueryRandom
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.testing import Toy

COUNT, QUERIES = 3, 12
WEIGHTS = {"reconstruction": 40.0, "sparsity": 0.3, "diversity": 2.0}


def fisher_free(codes: Tensor) -> Tensor:
    """What the Fisher information lets each perturbation change, by loops; the classes are linear in the code."""
    slopes = (FILTERS @ BASIS[:LATENT].T).double()
    free = torch.ones(len(codes), COUNT, LATENT)
    for query, code in enumerate(codes):
        chances = (picture(code[None]).flatten(1) @ FILTERS.T)[0].softmax(0).double()
        mean = chances @ slopes
        information = sum(chance * (slope - mean) ** 2 for chance, slope in zip(chances, slopes, strict=True))
        for rank, element in enumerate(information.argsort(descending=True).tolist()):  # type: ignore[union-attr]
            free[query, rank * COUNT // LATENT, element] = 0
    return free


def repulsion(moved: Tensor) -> Tensor:
    """Gradient of the sum of squared cosines over ordered pairs of perturbations ``[K, z]`` with respect to each."""
    vectors = moved.double().numpy()
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / lengths
    slopes = np.zeros_like(vectors)
    for first in range(len(vectors)):
        for second in range(len(vectors)):
            if first != second:
                cosine = units[first] @ units[second]
                slopes[first] += 4 * cosine * (units[second] - cosine * units[first]) / lengths[first]
    return torch.from_numpy(slopes).float()


@pytest.mark.parametrize("masks", ["none", "fisher"])
def test_one_step_goes_down_the_gradient_known_by_hand(masks: str, toy_folder: Path) -> None:
    task = Task(LinearToy(toy_folder))
    outcome, _ = explained(
        task, "dive", explanations=COUNT, masks=masks, steps=1, rate=0.05, confidence=0.999, **WEIGHTS
    )
    queries, targets = task.images(slice(QUERIES)).flatten(1), task.targets[:QUERIES]
    start = queries @ READING
    free = fisher_free(start) if masks == "fisher" else torch.ones(QUERIES, COUNT, LATENT)
    moved = 0.01 * QueryRandom(range(QUERIES)).normal(COUNT, LATENT) * free
    made = picture((start[:, None] + moved).flatten(0, 1)).flatten(1)
    error = (made @ FILTERS.T).softmax(1) - torch.eye(3)[targets].repeat_interleave(COUNT, 0)
    pull = WEIGHTS["reconstruction"] * (made - queries.repeat_interleave(COUNT, 0)).sign() / PIXELS
    slope = ((error @ FILTERS + pull) @ BASIS[:LATENT].T).view(QUERIES, COUNT, LATENT)
    slope += WEIGHTS["sparsity"] * moved.sign()
    slope += WEIGHTS["diversity"] * torch.stack([repulsion(each) for each in moved])
    expected = picture((start[:, None] + moved - 0.05 * slope.sign() * free).flatten(0, 1)).flatten(1)
    chances = (expected @ FILTERS.T).softmax(1).view(QUERIES, COUNT, 3)[torch.arange(QUERIES), :, targets]
    order = chances.argsort(dim=1, descending=True)
    expected = expected.view(QUERIES, COUNT, PIXELS).take_along_dim(order[:, :, None], dim=1)
    assert outcome.further is not None
    found = torch.cat([outcome.images[:, None], outcome.further], dim=1).flatten(2) / 255
    assert (chances < 0.999).all(), "so that the surest comes first"
    assert float((found - expected).abs().max()) <= 0.5 / 255 + 1e-4


def chosen(task: Task, **parameters: Any) -> tuple[Tensor, Tensor]:
    """All counterfactuals ``[B, K, C, H, W]`` in [0, 1], the one returned first, and their target probabilities."""
    outcome, _ = explained(task, "dive", explanations=COUNT, steps=300, rate=0.02, confidence=0.8, **parameters)
    assert outcome.further is not None
    images = torch.cat([outcome.images[:, None], outcome.further], dim=1) / 255
    logits = Thirds()(images.flatten(0, 1)).view(QUERIES, COUNT, 3)
    chances = logits.softmax(2)[torch.arange(QUERIES), :, task.targets[:QUERIES]]
    assert outcome.columns["sure"].tolist() == (chances >= 0.8).sum(1).tolist()
    return images, chances


def test_the_nearest_of_those_that_are_sure_is_returned(toy_folder: Path) -> None:
    task = Task(LinearToy(toy_folder))
    images, chances = chosen(task, diversity=0.01)
    assert (chances >= 0.8).all()
    distances = (images - task.images(slice(QUERIES))[:, None]).abs().flatten(2).mean(2)
    assert (distances[:, :1] <= distances[:, 1:] + 0.5 / 255).all()


def test_what_would_be_alike_is_driven_apart(toy_folder: Path) -> None:
    task = Task(LinearToy(toy_folder))
    spreads = []
    for diversity in (0.0, 0.1):
        images, _ = chosen(task, masks="none", diversity=diversity)
        spreads.append((images[:, 1:] - images[:, :1]).abs().mean())
    assert spreads[1] > 2 * spreads[0]


def test_a_run_scores_their_diversity(toy_folder: Path, tmp_path: Path) -> None:
    parameters = {"explanations": 3, "steps": 60, "rate": 0.1, "confidence": 0.6, "reconstruction": 1.0}
    record, folder = evaluate(METHODS.load("dive").create(parameters), Task(Toy(toy_folder)), root=tmp_path, limit=12)
    [shard] = RunFolder(folder).shards()
    assert shard.further is not None
    assert shard.further.shape == (12, 2, *Toy.image_shape)
    score = record.scores["diversity"]["all"]
    assert score.value is not None
    assert score.value > 0


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"explanations": 1}, "explanations is 1, .*expected explanations >= 2"),
        ({"masks": "random"}, "'fisher' or 'none'"),
        ({"reconstruction": -1.0}, "reconstruction -1.0"),
        ({"sparsity": -1.0}, "sparsity -1.0"),
        ({"diversity": -1.0}, "diversity -1.0"),
        ({"confidence": 1.0}, "0 < confidence < 1"),
        ({"steps": 0}, "steps 0"),
        ({"rate": 0.0}, "rate above 0"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        METHODS.load("dive").create(parameters)
