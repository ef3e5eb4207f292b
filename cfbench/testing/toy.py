"""A toy task: where is the bright square? Built from a seed in seconds, by the same code as a real one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from cfbench.dataset import Dataset, Images, NetworkSpec, RawData
from cfbench.diffusion_training import DiffusionRecipe
from cfbench.gan_training import GANRecipe
from cfbench.generators import VAERecipe
from cfbench.heads import DUQRecipe, LossEstimatorRecipe
from cfbench.networks import GAN, VAE, Autoencoder, Diffusion, DUQHead, LossEstimator, MobileNet, PlainCNN, ResNet
from cfbench.preparation import freeze_splits, train_networks
from cfbench.robust import RobustRecipe
from cfbench.training import AutoencoderRecipe, ClassifierRecipe, DistilRecipe

SIDE = 12
_COMMON: dict[str, Any] = {"channels": 1, "classes": 3, "mean": (0.3,), "std": (0.3,)}
_RECIPE = ClassifierRecipe(epochs=3, batch=50, rate=1e-2)


def render(count: int, seed: int) -> Images:
    """Gray images ``[count, 1, 12, 12]`` with a bright square on the left (0), in the middle (1), on the right (2)."""
    stream = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    rows = torch.randint(0, SIDE - 4, (count,), generator=stream)
    images: Tensor = torch.rand(count, SIDE, SIDE, generator=stream) * 0.3
    for index in range(count):
        left, top = 4 * int(labels[index]), int(rows[index])
        images[index, top : top + 4, left : left + 4] += 0.6
    return Images(images[:, None].mul(255).to(torch.uint8), labels)


class Toy(Dataset):
    """Where is the bright square? Three classes, 12 x 12 gray; for tests only."""

    name = "toy"
    version = "v1"
    title = "Toy squares"
    classes = ("left", "middle", "right")
    image_shape = (1, SIDE, SIDE)
    licence = "MIT"
    citation = "none"
    homepage = "none"
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 60, "validation": 30, "reference": 150, "pool": 120}
    networks: ClassVar[Mapping[str, NetworkSpec]] = {
        "classifier": NetworkSpec(
            "classifier", "PlainCNN 4-8", partial(PlainCNN, widths=(4, 8), depth=1, **_COMMON), _RECIPE, seed=1
        ),
        "distilled": NetworkSpec(
            "distilled",
            "PlainCNN 4-8",
            partial(PlainCNN, widths=(4, 8), depth=1, **_COMMON),
            DistilRecipe(epochs=8, batch=50, rate=1e-2),
            seed=6,
        ),
        # Eight channels: oneDNN's strided 1 x 1 convolutions of fewer write out of bounds (uxlfoundation/oneDNN#6035).
        "oracle-1": NetworkSpec("oracle", "ResNet 8-8", partial(ResNet, widths=(8, 8), **_COMMON), _RECIPE, seed=2),
        "oracle-2": NetworkSpec(
            "oracle", "PlainCNN 8-8", partial(PlainCNN, widths=(8, 8), depth=2, **_COMMON), _RECIPE, seed=3
        ),
        "extractor": NetworkSpec(
            "extractor",
            "MobileNet 4, 4 features",
            partial(MobileNet, widths=(4,), expansion=2, features=4, **_COMMON),
            _RECIPE,
            seed=4,
        ),
        "autoencoder": NetworkSpec(
            "autoencoder", "Autoencoder 4", partial(Autoencoder, channels=1, width=4), AutoencoderRecipe(1), seed=5
        ),
        "loss-estimator": NetworkSpec(
            "loss-estimator",
            "Loss estimator, 4 a map",
            partial(LossEstimator, (4, 8), hidden=4),
            LossEstimatorRecipe(epochs=1, batch=50, rate=1e-2),
            seed=7,
        ),
        "gan": NetworkSpec(
            "gan",
            "GAN 8-8, z 4",
            partial(GAN, channels=1, side=SIDE, classes=3, latent=4, widths=(8, 8), hidden=8),
            GANRecipe(epochs=1, oracles=("oracle-1", "oracle-2")),
            seed=9,
        ),
        "vae": NetworkSpec(
            "vae",
            "VAE 8-8, z 4",
            partial(VAE, channels=1, side=SIDE, latent=4, widths=(8, 8), hidden=8),
            VAERecipe(epochs=1),
            seed=10,
        ),
        "diffusion": NetworkSpec(
            "diffusion",
            "UNet2DModel 8-8 on blocks of 2 x 2 pixels",
            partial(Diffusion.of_pixels, channels=1, side=SIDE, classes=3, widths=(8, 8)),
            DiffusionRecipe(epochs=1, oracles=("oracle-1", "oracle-2")),
            seed=11,
        ),
        "robust": NetworkSpec(
            "robust",
            "PlainCNN 4-8",
            partial(PlainCNN, widths=(4, 8), depth=1, **_COMMON),
            RobustRecipe(epochs=3, batch=50, rate=1e-2, epsilon=0.02, judged=100, stronger=5),
            seed=12,
        ),
        "duq": NetworkSpec(
            "duq",
            "DUQ head, 4 a class",
            partial(DUQHead, width=8, classes=3, size=4, sigma=0.5),
            DUQRecipe(epochs=1, batch=50, rate=1e-2),
            seed=8,
        ),
    }

    def raw(self, root: Path | None) -> RawData:
        return RawData(train=render(600, 1), test=render(450, 2))


def build_toy(folder: Path) -> Toy:
    """Train the toy task's networks and draw its splits into ``folder``."""
    empty = Toy(folder)
    raw = empty.raw(None)
    train_networks(empty, empty.networks, raw, folder, report=lambda name: None)
    freeze_splits(empty, raw, Toy(folder).network("classifier"), folder)
    return Toy(folder)
