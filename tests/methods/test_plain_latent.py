"""Latent searches on a batch against plain transcriptions of their papers, an image at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from linear_toy import LinearToy, explained
from plain_latent import plain_dive, plain_dive_apart, plain_gan, plain_vae

from cfbench.registry import METHODS
from cfbench.seeds import QueryRandom
from cfbench.task import Task
from cfbench.view import MethodView

COUNT = 8


@pytest.mark.parametrize(
    ("name", "plain", "settings"),
    [
        ("vae-latent", plain_vae, {"proximity": 4.0}),
        ("diffeomorphic", plain_vae, {}),
        ("gan-latent", plain_gan, {"proximity": 4.0}),
        ("dive", plain_dive, {"explanations": 3, "steps": 150, "diversity": 0.01}),
        ("dive", plain_dive_apart, {"explanations": 3, "steps": 150, "diversity": 0.01}),
    ],
)
def test_a_batch_gives_what_the_plain_transcription_gives(
    name: str, plain: Any, settings: dict[str, Any], toy_folder: Path
) -> None:
    task = Task(LinearToy(toy_folder))
    settings = {"steps": 40, "rate": 0.02, "confidence": 0.8, **settings}
    outcome, _ = explained(task, name, COUNT, **settings)
    method = METHODS.load(name).create(settings)
    method.setup(MethodView(task, method.needs))
    assert len(outcome.columns["steps"].unique()) > 1, "images are taken at different steps"
    for index in range(COUNT):
        image, target = task.images(slice(index, index + 1)), task.targets[index : index + 1]
        expected = plain(method, task.load("classifier"), image, target, QueryRandom([index]).normal)
        assert float((outcome.images[index] / 255 - expected[0].clamp(0, 1)).abs().max()) <= 2 / 255
