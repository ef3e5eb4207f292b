"""LPIPS, FID and KID: official names only for the official files; the code paths on stand-in weights."""

from __future__ import annotations

import copy
import dataclasses
import functools
from pathlib import Path
from types import SimpleNamespace

import lpips
import numpy as np
import pytest
import torch
import torchvision
from judged import SHAPE, batch_of, judges_of, piece_of, random_images, values_of
from pytorch_fid import inception
from pytorch_fid.fid_score import calculate_frechet_distance
from torchmetrics.image.kid import poly_mmd

from cfbench import weights
from cfbench.batch import Batch
from cfbench.dataset import Images
from cfbench.files import sha256_file
from cfbench.judges import Judges
from cfbench.metrics.kernels import KID
from cfbench.metrics.official import FID, LPIPS, inception_space, rgb
from cfbench.scoring import batch_of as scored_batch
from cfbench.scoring import score
from cfbench.task import Task
from cfbench.weights import ALEXNET, INCEPTION, OFFICIAL, SQUEEZENET, VGG, OfficialWeights

BACKBONES = {"alex": ("ALEXNET", "alexnet"), "vgg": ("VGG", "vgg16"), "squeeze": ("SQUEEZENET", "squeezenet1_1")}


@pytest.fixture(autouse=True)
def hub(tmp_path: Path) -> Path:
    torch.hub.set_dir(str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


class NoLayer(torch.nn.Linear):
    """Stands where a large linear layer would be."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(1, 1)


@functools.cache
def backbone(name: str) -> torch.nn.Module:
    """The features of an untrained backbone; the linear layers behind them, which nothing reads, are not made."""
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(torch.nn, "Linear", NoLayer)
        return getattr(torchvision.models, BACKBONES[name][1])(weights=None).features


@pytest.fixture(autouse=True)
def bare_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the lpips package builds on, without those layers and with weights of nought until others are loaded."""
    for name, (_, architecture) in BACKBONES.items():
        bare = copy.deepcopy(backbone(name))
        for parameter in bare.parameters():
            torch.nn.init.zeros_(parameter)
        build = lambda bare=bare, **options: SimpleNamespace(features=copy.deepcopy(bare))  # noqa: E731
        monkeypatch.setattr(torchvision.models, architecture, build)


@pytest.fixture
def batch(task: Task) -> Batch:
    queries = task.stored[:6]
    return scored_batch(piece_of(queries, queries.roll(1, dims=3)), Judges.of(task))


def stand_in(official: OfficialWeights, state: dict[str, torch.Tensor], hub: Path) -> OfficialWeights:
    torch.save(state, hub / official.file)
    return dataclasses.replace(official, sha256=sha256_file(hub / official.file))


def test_the_allow_listed_hashes_are_the_ones_in_the_published_addresses() -> None:
    for official in OFFICIAL:
        in_name = official.file.removesuffix(".pth").rpartition("-")[2]
        assert official.sha256 in official.url.split("/") or official.sha256.startswith(in_name)


def test_absent_or_wrong_files_leave_the_metric_blank_with_the_reason(task: Task, hub: Path) -> None:
    judges = Judges.of(task)
    metrics = [*LPIPS.instances(judges), *FID.instances(judges), *KID.instances(judges)]
    assert [metric.key for metric in metrics] == ["lpips", "lpips[vgg]", "lpips[squeeze]", "fid", "kid"]
    for metric, official in zip(metrics, (ALEXNET, VGG, SQUEEZENET, INCEPTION, INCEPTION), strict=True):
        (hub / official.file).unlink(missing_ok=True)
        assert f"{official.file} is missing; get it with: cfbench prepare --official" in str(metric.blocked())
        (hub / official.file).write_bytes(b"something else")
        assert f"expected {official.sha256}" in str(metric.blocked())
        assert metric.blank("why").value is None


def backbone_state(name: str) -> dict[str, torch.Tensor]:
    """Its weights as they are named in the official file."""
    return {f"features.{key}": value for key, value in backbone(name).state_dict().items()}


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("shape", [(1, 12, 12), (3, 66, 70)])
def test_lpips_is_the_packages_on_the_same_weights(
    name: str, shape: tuple[int, int, int], hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = backbone(name)
    official = BACKBONES[name][0]
    monkeypatch.setattr(weights, official, stand_in(getattr(weights, official), backbone_state(name), hub))
    theirs = lpips.LPIPS(net=name, pnet_rand=True, verbose=False).eval()
    for part in theirs.net.children():
        for index, layer in part.named_children():
            layer.load_state_dict(features[int(index)].state_dict())

    def prepared(images: torch.Tensor) -> torch.Tensor:
        coloured = images.repeat(1, 3 // shape[0], 1, 1) * 2 - 1
        if shape[1] >= 64:
            return coloured
        return torch.nn.functional.interpolate(coloured, size=(64, 64), mode="bilinear")

    batch = batch_of(judges_of(image_shape=shape), random_images(2, shape, 0), random_images(2, shape, 1))
    [metric] = [metric for metric in LPIPS.instances(batch.judges) if metric.backbone == name]
    assert metric.blocked() is None
    with torch.inference_mode():
        found = metric.values(batch)
        expected = theirs(prepared(batch.counterfactuals), prepared(batch.queries)).flatten()
    torch.testing.assert_close(found, expected)
    assert found.min() > 0
    assert metric.network.endswith("at 64 px") == (shape[1] < 64)


def test_each_backbone_has_its_own_column(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (official, _) in BACKBONES.items():
        monkeypatch.setattr(weights, official, stand_in(getattr(weights, official), backbone_state(name), hub))
    queries, made = random_images(2, (1, 12, 12), 0), random_images(2, (1, 12, 12), 1)
    judges = judges_of(image_shape=(1, 12, 12), verdicts="given")
    found = score([piece_of(queries, made, given=[1, 1])], judges)
    for key in ("lpips", "lpips[vgg]", "lpips[squeeze]"):
        assert found.scores[key]["all"].value == pytest.approx(found.table[key].mean())


@functools.cache
def untrained_inception() -> torch.nn.Module:
    """pytorch-fid's network with random weights in place of the downloaded ones."""
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(inception, "load_state_dict_from_url", lambda *a, **k: None)
        patch.setattr(torch.nn.Module, "load_state_dict", lambda self, state: None)
        return inception.fid_inception_v3()


@pytest.fixture
def official_inception(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "INCEPTION", stand_in(INCEPTION, untrained_inception().state_dict(), hub))


@pytest.mark.usefixtures("official_inception")
def test_inception_features_are_pytorch_fids_on_the_same_weights(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    original = inception.load_state_dict_from_url
    with torch.inference_mode():
        [metric] = FID.instances(batch.judges)
        assert metric.blocked() is None
        found = batch.features(metric.space, "counterfactuals").numpy()
        assert inception.load_state_dict_from_url is original
        monkeypatch.setattr(inception, "load_state_dict_from_url", lambda *a, **k: untrained_inception().state_dict())
        theirs = inception.InceptionV3([3]).eval()
        expected = theirs(batch.counterfactuals.repeat(1, 3, 1, 1))[0].flatten(1).numpy()
    assert found.shape == (6, 2048)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("official_inception")
def test_fid_and_kid_are_the_packages_on_the_same_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """On 16 stand-in features of 40 images a side; the least number of images is lowered for that."""
    shape, n = (1, 8, 8), 40
    reference = Images(random_images(n, shape, 2), torch.ones(n, dtype=torch.int64))
    batch = batch_of(judges_of(image_shape=shape, reference=reference), *(random_images(n, shape, s) for s in (0, 1)))
    batch.given = batch.targets
    mix = torch.randn(64, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = {
        images.numpy().tobytes(): torch.nn.functional.relu(images.flatten(1).double() / 255 @ mix)
        for images in (batch.stored_queries, batch.stored, reference.images)
    }
    found = {}
    for kind in (FID, KID):
        [metric] = kind.instances(batch.judges)
        monkeypatch.setattr(kind, "minimum", 20)
        embed = lambda images: features[(images * 255).round().to(torch.uint8).numpy().tobytes()]  # noqa: E731
        metric.space = dataclasses.replace(metric.space, embed=embed)
        metric.update(batch)
        found[kind.name] = metric.compute()["all"]
    queries, made, real = features.values()
    moments = [(part.numpy().mean(axis=0), np.cov(part.numpy(), rowvar=False)) for part in (made, queries)]
    assert found["fid"].value == pytest.approx(calculate_frechet_distance(*moments[0], *moments[1]), rel=1e-4)
    assert found["kid"].value == pytest.approx(float(poly_mmd(real, made)), rel=1e-9)
    assert found["fid"].network == inception_space(batch.judges).identity


def test_gray_images_become_rgb_and_others_stay() -> None:
    gray, coloured = torch.rand(2, 1, 4, 4), torch.rand(2, 3, 4, 4)
    assert torch.equal(rgb(gray), gray.repeat(1, 3, 1, 1))
    assert rgb(coloured) is coloured


def test_values_do_not_depend_on_the_random_state(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "ALEXNET", stand_in(ALEXNET, backbone_state("alex"), hub))
    before = torch.random.get_rng_state()
    images = random_images(2, SHAPE, 0), random_images(2, SHAPE, 1)
    first = values_of(LPIPS, batch_of(judges_of(), *images, given=[1, 1]))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(1)
    assert torch.equal(values_of(LPIPS, batch_of(judges_of(), *images, given=[1, 1])), first)


def test_weights_are_read_without_unpickling_objects(hub: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("unpickled",))

    official = stand_in(ALEXNET, {"features.0.weight": Payload()}, hub)  # type: ignore[dict-item]
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        official.state()
