"""IM1 and IM2 by direct computation with stub autoencoders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from judged import Formula, batch_of, judges_of, member, random_images, scores_of, values_of

from cfbench.metrics.reconstruction import IM1, IM2

SHADES = {"all": 0.9, "0": 0.5, "1": 0.8, "2": 0.2}
"""By what each autoencoder multiplies an image."""


def judges(*names: str):
    return judges_of(
        *(
            member(f"autoencoder-{name}", Formula(lambda images, by=SHADES[name]: images * by), "autoencoder")
            for name in names
        )
    )


def test_by_direct_computation() -> None:
    queries, made = random_images(3, (1, 4, 4), 0), random_images(3, (1, 4, 4), 1)
    sources, targets = [0, 1, 2], [1, 2, 0]
    batch = batch_of(judges(*SHADES), queries, made, sources=sources, targets=targets, given=targets)
    pixels = made.double().numpy().reshape(3, -1) / 255
    source, target = (np.array([SHADES[str(label)] for label in labels])[:, None] for labels in (sources, targets))
    errors = [np.square(pixels - by * pixels).sum(axis=1) for by in (target, source)]
    np.testing.assert_allclose(values_of(IM1, batch), errors[0] / (errors[1] + 1e-5), rtol=1e-5)
    apart = np.square(target * pixels - 0.9 * pixels).sum(axis=1)
    np.testing.assert_allclose(values_of(IM2, batch), apart / (np.abs(pixels - 0.5).sum(axis=1) + 1e-5), rtol=1e-5)


def test_perfect_reconstruction_and_blank_images_stay_finite() -> None:
    blank = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    batch = batch_of(judges(*SHADES), blank, blank, given=[1, 1])
    assert values_of(IM1, batch).tolist() == [0, 0]
    assert values_of(IM2, batch).tolist() == [0, 0]


@pytest.mark.parametrize("kind", [IM1, IM2])
def test_every_autoencoder_must_be_there(kind: type[IM1]) -> None:
    assert kind(judges("all", "0", "1")).blocked() == "there are no autoencoders of all and of each class"
    images = random_images(2, (1, 4, 4))
    assert scores_of(kind, batch_of(judges(*SHADES), images, images, given=[1, 1]))["all"].network == (
        "autoencoder-0@stub autoencoder-1@stub autoencoder-2@stub autoencoder-all@stub"
    )
