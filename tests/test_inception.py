"""Fast Inception features against pytorch-fid's own on the same weights."""

from __future__ import annotations

import pytest
import torch
from random_inception import random_inception

from cfbench import inception
from cfbench.inception import FastInception


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
