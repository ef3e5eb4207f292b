"""LPIPS and FID: official names only for the official files; the code paths on stand-in weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
import torchvision
from pytorch_fid import inception

from cfbench.files import sha256_file
from cfbench.judges import Batch, Judges
from cfbench.metrics import official
from cfbench.metrics.official import ALEXNET, FID, INCEPTION, LPIPS, OfficialWeights
from cfbench.task import Task


@pytest.fixture(autouse=True)
def hub(tmp_path: Path) -> Path:
    torch.hub.set_dir(str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


@pytest.fixture
def batch(task: Task) -> Batch:
    stored = task.stored[:6].roll(1, dims=3)
    return Batch(Judges(task), torch.arange(6), stored, torch.zeros(6, dtype=torch.bool))


def stand_in(weights: OfficialWeights, state: dict[str, torch.Tensor], hub: Path) -> OfficialWeights:
    torch.save(state, hub / weights.file)
    return dataclasses.replace(weights, sha256=sha256_file(hub / weights.file))


def test_the_allow_listed_hashes_are_the_ones_in_the_published_file_names() -> None:
    for weights in (ALEXNET, INCEPTION):
        assert weights.sha256.startswith(weights.file.removesuffix(".pth").rpartition("-")[2])


def test_absent_or_wrong_files_leave_the_metric_blank_with_the_reason(task: Task, hub: Path) -> None:
    for metric, weights in ((LPIPS(Judges(task)), ALEXNET), (FID(Judges(task)), INCEPTION)):
        assert f"{weights.file} is missing; get it with: cfbench prepare --official" in str(metric.blocked())
        (hub / weights.file).write_bytes(b"something else")
        assert f"expected {weights.sha256}" in str(metric.blocked())
        assert {score.value for score in metric.blank("why").values()} == {None}


def test_lpips_is_the_packages_on_the_same_weights(batch: Batch, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    alexnet = torchvision.models.alexnet(weights=None)
    monkeypatch.setattr(official, "ALEXNET", stand_in(ALEXNET, alexnet.state_dict(), hub))
    theirs = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    for part in theirs.net.children():
        for index, layer in part.named_children():
            layer.load_state_dict(alexnet.features[int(index)].state_dict())

    def enlarged(images: torch.Tensor) -> torch.Tensor:
        rgb = images.repeat(1, 3, 1, 1) * 2 - 1
        return torch.nn.functional.interpolate(rgb, size=(64, 64), mode="bilinear")

    with torch.inference_mode():
        metric = LPIPS(batch.judges)
        assert metric.blocked() is None
        found = metric.values(batch)
        expected = theirs(enlarged(batch.counterfactuals), enlarged(batch.queries)).flatten()
    torch.testing.assert_close(found, expected)
    assert found.min() > 0
    assert metric.network.endswith("at 64 px")


def test_fid_features_are_pytorch_fids_on_the_same_weights(
    batch: Batch, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    with monkeypatch.context() as patch:
        patch.setattr(inception, "load_state_dict_from_url", lambda *a, **k: None)
        patch.setattr(torch.nn.Module, "load_state_dict", lambda self, state: None)
        network = inception.fid_inception_v3()
    monkeypatch.setattr(official, "INCEPTION", stand_in(INCEPTION, network.state_dict(), hub))

    original = inception.load_state_dict_from_url
    with torch.inference_mode():
        metric = FID(batch.judges)
        assert metric.blocked() is None
        found = metric.embed(batch, "counterfactuals")
        assert inception.load_state_dict_from_url is original
        monkeypatch.setattr(inception, "load_state_dict_from_url", lambda *a, **k: network.state_dict())
        theirs = inception.InceptionV3([3]).eval()
        expected = theirs(batch.counterfactuals.repeat(1, 3, 1, 1))[0].flatten(1).numpy()
    assert found.shape == (6, 2048)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_weights_are_read_without_unpickling_objects(hub: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("unpickled",))

    weights = stand_in(ALEXNET, {"features.0.weight": Payload()}, hub)  # type: ignore[dict-item]
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        weights.state()
