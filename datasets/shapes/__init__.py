"""Coloured shapes on textured grounds: a synthetic task whose true counterfactuals are known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch

from cfbench.dataset import Dataset, Images, NetworkSpec, RawData
from cfbench.datasets.shapes.renderer import SHAPES, Renderer
from cfbench.networks import ConvMixer, DenseNet, MobileNet, PlainCNN, ResNet
from cfbench.zoo import Zoo

SEED = 32
TRAIN, TEST = 6000, 4000
WIDTHS = (16, 32, 64)
"""Channels of the classifier's feature maps."""
ZOO = Zoo(channels=3, classes=len(SHAPES), mean=(0.37, 0.38, 0.37), std=(0.16, 0.17, 0.17), training={}, half=True)


def draw(renderer: Renderer) -> RawData:
    """Training and test images of different combinations of factors, drawn from a seed."""
    stream = torch.Generator().manual_seed(SEED)
    numbers = torch.randperm(renderer.combinations, generator=stream)[: TRAIN + TEST]
    factors = renderer.numbered(numbers)
    train, test = (Images(renderer.render(part), renderer.labels(part)) for part in (factors[:TRAIN], factors[TRAIN:]))
    return RawData(train=train, test=test)


def judges() -> dict[str, NetworkSpec]:
    """Oracles, extractor and autoencoders of images of shapes."""
    return {
        "oracle-1": ZOO.trained("oracle", "ResNet 12-24-48", ResNet, widths=(12, 24, 48), epochs=4, seed=11),
        "oracle-2": ZOO.trained(
            "oracle",
            "ConvMixer 32, depth 3, patch 2, kernel 5",
            ConvMixer,
            width=32,
            depth=3,
            patch=2,
            kernel=5,
            epochs=6,
            seed=12,
        ),
        "oracle-3": ZOO.trained(
            "oracle", "DenseNet 16, growth 12-16", DenseNet, stem=16, growths=(12, 16), layers=3, epochs=4, seed=13
        ),
        "extractor": ZOO.trained(
            "extractor",
            "MobileNet 16-24-32, 64 features",
            MobileNet,
            widths=(16, 24, 32),
            expansion=2,
            features=64,
            epochs=4,
            seed=21,
        ),
        **ZOO.autoencoders(epochs=6, class_epochs=12, seed=30),
    }


def heads() -> dict[str, NetworkSpec]:
    """Loss estimators, on the frozen classifier and with one of its own, a DUQ head, and a robust classifier."""
    return {
        "loss-estimator": ZOO.loss_estimator(WIDTHS, epochs=10, seed=41),
        "joint": ZOO.joint("PlainCNN 16-32-64, depth 2", PlainCNN, WIDTHS, epochs=6, seed=42, widths=WIDTHS, depth=2),
        "duq": ZOO.duq(WIDTHS[-1], epochs=5, seed=43, sigma=0.3, penalty=0.1),
        "robust": ZOO.robust(
            "PlainCNN 16-32-64, depth 2",
            PlainCNN,
            epsilon=8 / 255,
            epochs=8,
            seed=44,
            recipe={"steps": 2},
            widths=WIDTHS,
            depth=2,
        ),
    }


def generators() -> dict[str, NetworkSpec]:
    """VAE, GAN and diffusion model of images of shapes."""
    return ZOO.generators(side=32, epochs={"vae": 20, "gan": 12, "diffusion": 15}, seed=70)


class Shapes(Dataset):
    """Which shape is it? Every factor of an image can be read and set, so the minimal true change is known."""

    name = "shapes"
    version = "v1"
    title = "Shapes"
    classes = SHAPES
    image_shape = (3, 32, 32)
    licence = "MIT, rendered by cfbench"
    citation = "none: rendered by cfbench"
    homepage = "none"
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 1000, "validation": 500, "reference": 2000, "pool": 4000}
    truth = Renderer()
    objects = truth.objects
    networks: ClassVar[Mapping[str, NetworkSpec]] = {
        "classifier": ZOO.trained(
            "classifier", "PlainCNN 16-32-64, depth 2", PlainCNN, widths=WIDTHS, depth=2, epochs=4, seed=1, half=False
        ),
        "distilled": ZOO.distilled("PlainCNN 16-32-64, depth 2", PlainCNN, widths=WIDTHS, depth=2, epochs=4, seed=2),
        **judges(),
        **heads(),
        **generators(),
    }

    def raw(self, root: Path | None) -> RawData:
        return draw(self.truth)
