"""Recipes of generators: a little training helps, the same seed gives the same, frozen ones hold their floors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.linalg import sqrtm
from torch import Tensor, nn

from cfbench.dataset import Dataset, Images
from cfbench.diffusion_training import DiffusionRecipe
from cfbench.folders import FolderDataset
from cfbench.gan_training import GANRecipe
from cfbench.generators import VAERecipe
from cfbench.images import dequantise, quantise
from cfbench.networks import GAN, VAE, Diffusion
from cfbench.registry import DATASETS, load_dataset
from cfbench.session import Session
from cfbench.testing import Toy
from cfbench.training import predict

TOY: dict[str, Any] = {"channels": 1, "side": 12}
ORACLES = ("oracle-1", "oracle-2")
CASES = {
    "vae": (VAERecipe(epochs=4), lambda: VAE(**TOY, latent=4, widths=(8, 16), hidden=16)),
    "gan": (
        GANRecipe(epochs=12, oracles=ORACLES),
        lambda: GAN(**TOY, classes=3, latent=4, widths=(8, 16), hidden=16),
    ),
    "diffusion": (
        DiffusionRecipe(epochs=12, oracles=ORACLES),
        lambda: Diffusion.of_pixels(**TOY, classes=3, widths=(16,), patch=4),
    ),
}


def trained(role: str, toy: Toy, *, epochs: int | None = None) -> tuple[nn.Module, nn.Module]:
    """A network as initialised, and trained."""
    recipe, build = CASES[role]
    torch.manual_seed(0)
    before = build()
    network = build()
    network.load_state_dict(before.state_dict())
    recipe = replace(recipe, epochs=epochs or recipe.epochs)
    recipe.fit(network, toy.raw(None).train, seed=1, networks=toy.network, session=Session())
    return before.eval(), network


@pytest.mark.parametrize("role", ["vae", "gan"])
def test_a_little_training_improves_every_figure(role: str, toy: Toy) -> None:
    data = toy.raw(None).test
    recipe, _ = CASES[role]
    first, last = (recipe.quality(network, data, networks=toy.network) for network in trained(role, toy))
    assert set(last) == {"mse", "l1", "fd", "fd_floor"} | ({"class_agreement"} if role == "gan" else set())
    assert first["fd_floor"] == last["fd_floor"]
    assert last["fd_floor"] < last["fd"] < 0.7 * first["fd"]
    assert last["mse"] < 0.8 * first["mse"]
    if role == "gan":
        assert last["class_agreement"] > max(0.6, first["class_agreement"])


def test_a_little_training_teaches_to_denoise_and_what_classes_are() -> None:
    """Flat images, dark or bright: an ideal network errs by nothing, one that always predicts zero by v itself."""
    labels = torch.arange(640) % 2
    data = Images((labels * 205 + 25).to(torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8), labels)
    torch.manual_seed(0)
    network = Diffusion.of_pixels(channels=1, side=8, classes=2, widths=(32,), patch=2)
    DiffusionRecipe(epochs=12).fit(network, data, seed=0, networks=Toy().network, session=Session())
    stream = torch.Generator().manual_seed(0)
    noise = torch.randn(640, *network.shape, generator=stream)
    steps = torch.randint(0, 1000, (640,), generator=stream)
    images = dequantise(data.images)
    values = network.codec.encode(images)
    wanted = network.velocity(values, noise, steps)
    with torch.inference_mode():
        predicted = network(network.noised(values, noise, steps), steps, labels)
        samples = network.sample(labels[:20], generator=stream)
    assert float(F.mse_loss(predicted, wanted)) < 0.25 * float(wanted.square().mean())
    assert torch.equal(samples.mean(dim=(1, 2, 3)) > 0.5, labels[:20] == 1)


@pytest.mark.parametrize("role", list(CASES))
def test_the_same_seed_trains_the_same_weights(role: str, toy: Toy) -> None:
    (before, first), (_, second) = (trained(role, toy, epochs=1) for _ in range(2))
    old, one, two = (list(network.state_dict().values()) for network in (before, first, second))
    assert all(map(torch.equal, one, two))
    assert not any(map(torch.equal, old, one))


class Constant(nn.Module):
    """Embeds an image as its pixels, and sees every image as class 1."""

    def embed(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        return F.one_hot(torch.ones(len(images), dtype=torch.int64), 3).float()


def test_quality_is_the_frechet_distance_and_the_share_of_confirmed_classes() -> None:
    """Against scipy's matrix root; of the first 1,000 classes, in turn, 333 are 1."""
    torch.manual_seed(0)
    network = GAN(channels=1, side=4, classes=3, latent=2, widths=(8,), hidden=8).eval()
    images = torch.randint(0, 256, (2400, 1, 4, 4), dtype=torch.uint8)
    data = Images(images, torch.arange(2400) % 3)
    found = GANRecipe(epochs=1).quality(network, data, networks=lambda name: Constant())
    assert found["class_agreement"] == pytest.approx(0.333)
    real, reference = (dequantise(part).flatten(1).double().numpy() for part in (images[:1000], images[1000:]))
    covariances = [np.cov(vectors, rowvar=False) for vectors in (real, reference)]
    expected = np.square(real.mean(0) - reference.mean(0)).sum() + np.trace(
        covariances[0] + covariances[1] - 2 * sqrtm(covariances[0] @ covariances[1]).real
    )
    assert found["fd_floor"] == pytest.approx(expected, rel=1e-6)
    with torch.inference_mode():
        reconstructed = network.reconstruct(dequantise(images[:200]), data.labels[:200])
    error = (reconstructed - dequantise(images[:200])).numpy()
    assert found["mse"] == pytest.approx(np.square(error).mean(), rel=1e-5)
    assert found["l1"] == pytest.approx(np.abs(error).mean(), rel=1e-5)


def conditions(dataset: Dataset, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """What ``network`` is given to make such images: their classes, or the attributes that are read in them."""
    if network.classes == len(dataset.classes):
        return labels
    with torch.inference_mode():
        return dataset.network("attributes")(images).sigmoid()


@pytest.mark.parametrize("name", ["mnist", "mnist-4-9", "fashion-mnist"])
@pytest.mark.parametrize("role", ["gan", "diffusion"])
def test_frozen_generators_give_the_class_that_was_asked_for(name: str, role: str) -> None:
    dataset = load_dataset(name)
    data = dataset.split("test")
    classes, network = data.labels[:200], dataset.network(role)
    asked = conditions(dataset, network, dequantise(data.images[:200]), classes)
    with torch.inference_mode():
        samples = network.sample(asked, generator=torch.Generator().manual_seed(3))
    hits = [predict(dataset.network(oracle), quantise(samples)) == classes for oracle in dataset.names("oracle")]
    assert float(torch.stack(hits).double().mean()) >= 0.85
    assert dataset.entry(role).quality["class_agreement"] >= 0.9


def packaged() -> list[str]:
    """Data sets whose images and generators are packaged."""
    found = map(load_dataset, DATASETS.builtin)
    return [each.name for each in found if each.names("gan") and not isinstance(each, FolderDataset)]


@pytest.mark.parametrize("name", packaged())
@pytest.mark.parametrize("role", ["vae", "gan"])
def test_frozen_encoders_and_decoders_reconstruct_as_recorded(name: str, role: str) -> None:
    dataset = load_dataset(name)
    data = dataset.split("test")
    images, labels = dequantise(data.images[:100]), data.labels[:100]
    network = dataset.network(role)
    with torch.inference_mode():
        if role == "vae":
            reconstructed = network(images)
        else:
            reconstructed = network.reconstruct(images, conditions(dataset, network, images, labels))
    error = float(F.mse_loss(reconstructed, images))
    if dataset.balanced:
        assert error == pytest.approx(dataset.entry(role).quality["mse"], rel=0.35)
    assert error < 0.5 * float((images - images.mean(0)).square().mean())
