"""MNIST (LeCun et al. 1998): 70,000 handwritten digits, 28 x 28 gray, ten classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F

from cfbench.dataset import Dataset, Images, NetworkSpec, RawData
from cfbench.datasets.mnist.style import RANGES, style
from cfbench.idx import published_pairs
from cfbench.networks import ConvMixer, DenseNet, MobileNet, PlainCNN, ResNet
from cfbench.objects import Brighter
from cfbench.zoo import Zoo

SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist"
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

CLASSES = tuple("0123456789")
ATTRIBUTES = (*CLASSES, *RANGES)
"""The classes, and how a digit is written."""

WIDTHS = (16, 32, 64)
"""Channels of the classifier's feature maps."""

_ZOO = Zoo(channels=1, classes=10, mean=(0.1307,), std=(0.3081,), training={"shift": 1}, half=True)


def _described(data: Images) -> Images:
    """With ``ATTRIBUTES``: 1 for the class of an image, 0 for others, and degrees of style."""
    classes = F.one_hot(data.labels, len(CLASSES))
    return replace(data, attributes=torch.cat([classes, style(data.images)], dim=1))


class MNIST(Dataset):
    """MNIST with frozen splits and networks; queries and references are official test images."""

    name = "mnist"
    version = "v1"
    title = "MNIST"
    classes = CLASSES
    image_shape = (1, 28, 28)
    objects = Brighter(25)
    licence = "CC BY-SA 3.0, (c) Yann LeCun and Corinna Cortes, derived from NIST's special databases 1 and 3"
    citation = (
        "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, "
        "Proceedings of the IEEE 86 (1998)"
    )
    homepage = "http://yann.lecun.com/exdb/mnist"
    attributes = ATTRIBUTES
    target_attributes = CLASSES
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 1000, "validation": 500, "reference": 3000, "pool": 5000}
    networks: ClassVar[Mapping[str, NetworkSpec]] = {
        "classifier": _ZOO.trained(
            "classifier", "PlainCNN 16-32-64, depth 2", PlainCNN, widths=WIDTHS, depth=2, epochs=6, seed=1, half=False
        ),
        "distilled": _ZOO.distilled("PlainCNN 16-32-64, depth 2", PlainCNN, widths=WIDTHS, depth=2, epochs=3, seed=2),
        "oracle-1": _ZOO.trained("oracle", "ResNet 12-24-48", ResNet, widths=(12, 24, 48), epochs=3, seed=11),
        "oracle-2": _ZOO.trained(
            "oracle",
            "ConvMixer 32, depth 3, patch 2, kernel 5",
            ConvMixer,
            width=32,
            depth=3,
            patch=2,
            kernel=5,
            epochs=4,
            seed=12,
        ),
        "oracle-3": _ZOO.trained(
            "oracle", "DenseNet 16, growth 12-16", DenseNet, stem=16, growths=(12, 16), layers=3, epochs=3, seed=13
        ),
        "extractor": _ZOO.trained(
            "extractor",
            "MobileNet 16-24-32, 64 features",
            MobileNet,
            widths=(16, 24, 32),
            expansion=2,
            features=64,
            epochs=3,
            seed=21,
        ),
        **_ZOO.autoencoders(epochs=2, class_epochs=20, seed=30),
        "loss-estimator": _ZOO.loss_estimator(WIDTHS, epochs=2, seed=41),
        "joint": _ZOO.joint("PlainCNN 16-32-64, depth 2", PlainCNN, WIDTHS, epochs=3, seed=42, widths=WIDTHS, depth=2),
        "duq": _ZOO.duq(WIDTHS[-1], epochs=1, seed=43, sigma=0.3, outside="fashion-mnist"),
        "robust": _ZOO.robust(
            "PlainCNN 16-32-64, depth 2",
            PlainCNN,
            epsilon=0.15,
            epochs=3,
            seed=44,
            widths=(16, 32, 64),
            depth=2,
        ),
        "attributes": _ZOO.attributes(
            "attributes",
            "PlainCNN 16-32-48, depth 2, stride 2",
            PlainCNN,
            names=ATTRIBUTES,
            widths=(16, 32, 48),
            depth=2,
            stride=2,
            epochs=4,
            seed=3,
        ),
        **_ZOO.generators(side=28, epochs={"vae": 3, "diffusion": 4}, seed=70),
        **_ZOO.generators(
            side=28, epochs={"gan": 2}, seed=70, attributes=len(ATTRIBUTES), held_by="attributes", hold=1.0
        ),
    }

    def raw(self, root: Path | None) -> RawData:
        folders = [] if root is None else [root, root / "MNIST" / "raw", root / "mnist"]
        raw = published_pairs("MNIST", FILES, folders, source=SOURCE)
        return RawData(_described(raw.train), _described(raw.test))
