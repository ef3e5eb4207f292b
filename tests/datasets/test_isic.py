"""ISIC 2017: the packaged pictures, its parts, and how well melanoma is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cfbench.dataset import Images
from cfbench.datasets.isic import PACK, TWICE, own_parts, published
from cfbench.files import sha256_bytes
from cfbench.registry import load_dataset
from cfbench.training import answers

PIXELS = "54efa9f38bed8d1a14ca16cdcc22ebef1592c9adb716a79c1678ee6f1cc5786b"


def test_the_pack_is_small_and_decodes_to_the_pinned_pixels() -> None:
    images, columns = published()
    assert PACK.stat().st_size <= 8_000_000
    assert images.shape == (2750, 3, 64, 64)
    assert sha256_bytes(images.numpy().tobytes()) == PIXELS
    assert len(np.unique(columns["numbers"])) == 2750


def test_parts_and_classes_are_the_official_ones() -> None:
    _, columns = published()
    counts = [np.bincount(columns["labels"][columns["parts"] == part]).tolist() for part in range(3)]
    assert counts == [[374, 254, 1372], [30, 42, 78], [117, 90, 393]]


def test_no_picture_learnt_from_or_compared_with_is_a_query_under_another_number() -> None:
    """Pictures of 8 x 8, without brightness and contrast: the published duplicates correlate by more than .999."""
    parts = own_parts()

    def small(names: tuple[str, ...]) -> torch.Tensor:
        images = torch.cat([parts[name].images for name in names]).float()
        flat = F.avg_pool2d(images, 8).flatten(1)
        return F.normalize(flat - flat.mean(1, keepdim=True), dim=1)

    seen, asked = small(("train", "reference")), small(("validation", "test"))
    assert (seen @ asked.T).max() < 0.999
    images, columns = published()
    left_out = torch.from_numpy(np.isin(columns["numbers"], TWICE))
    parts["left out"] = Images(images[left_out], torch.zeros(len(TWICE), dtype=torch.int64))
    assert (small(("left out",)) @ asked.T).max(1).values.min() > 0.999


def test_the_classifier_tells_melanoma_as_its_entry_says() -> None:
    dataset = load_dataset("isic")
    images, columns = published()
    test = torch.from_numpy(columns["parts"] == 2)
    with torch.inference_mode():
        scores = answers(dataset.network("classifier"), images[test]).softmax(1)[:, 0].numpy()
    positive = columns["labels"][test] == 0
    above = scores[positive][:, None] - scores[~positive]
    area = float(((above > 0) + 0.5 * (above == 0)).mean())
    assert area == pytest.approx(dataset.entry("classifier").quality["auc_melanoma"], abs=1e-3)
