"""Fast Inception features against pytorch-fid's own on the same weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from pytorch_fid.inception import fid_inception_v3
from random_inception import random_inception

from cfbench import inception, weights
from cfbench.dataset import Images
from cfbench.files import sha256_file
from cfbench.inception import FastInception
from cfbench.judges import Judges
from cfbench.metrics.official import inception_space


def test_features_are_pytorch_fids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception, "BATCH", 2)
    network = random_inception()
    images = torch.rand(3, 3, 40, 56, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network(images)[0].flatten(1)
    found = FastInception(network)(images)
    assert found.shape == (3, 2048)
    error = (found - expected).norm(dim=1) / expected.norm(dim=1)
    assert error.max() < 1e-5
    assert (expected[0] - expected[1]).norm() / expected[0].norm() > 1e-4
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.mean()))
    with torch.no_grad():
        torch.testing.assert_close(network(images)[0].flatten(1), expected, rtol=0, atol=0)


def test_no_images_have_no_features() -> None:
    assert FastInception(random_inception())(torch.zeros(0, 3, 8, 8)).shape == (0, 2048)


def test_fid_and_kid_take_them_from_the_official_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_inception()
    with monkeypatch.context() as patch:
        patch.setattr("pytorch_fid.inception.load_state_dict_from_url", lambda *a, **k: None)
        patch.setattr(torch.nn.Module, "load_state_dict", lambda self, state: None)
        published = fid_inception_v3()
    parts = list(network.state_dict().values())
    kept = [name for name in published.state_dict() if not name.startswith("fc.") and "AuxLogits" not in name]
    assert len(kept) == len(parts)
    state = published.state_dict() | dict(zip(kept, parts, strict=True))
    torch.save(state, tmp_path / weights.INCEPTION.file)
    sha256 = sha256_file(tmp_path / weights.INCEPTION.file)
    stand_in = dataclasses.replace(weights.INCEPTION, sha256=sha256, folder=str(tmp_path))
    monkeypatch.setattr(weights, "INCEPTION", stand_in)
    none = Images(torch.zeros(0), torch.zeros(0))
    space = inception_space(Judges([], classes=2, image_shape=(1, 28, 28), reference=lambda: none))
    assert space.problem() is None
    assert space.identity == f"inception-2015-12-05@{sha256[:12]} pytorch-fid"
    gray = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found, expected = space.embed(gray), network(gray.repeat(1, 3, 1, 1))[0].flatten(1)
    error = (found - expected).norm(dim=1) / expected.norm(dim=1)
    assert error.max() < 1e-3
