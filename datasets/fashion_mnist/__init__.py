"""Fashion-MNIST (arXiv 1708.07747): 70,000 pictures of clothing, 28 x 28 gray, ten classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from cfbench.dataset import Dataset, NetworkSpec, RawData
from cfbench.idx import published_pairs
from cfbench.networks import ConvMixer, DenseNet, MobileNet, PlainCNN, ResNet
from cfbench.objects import Brighter
from cfbench.zoo import Zoo

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
SOURCE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}

WIDTHS = (24, 48, 96)
"""Channels of the classifier's feature maps."""

_ZOO = Zoo(channels=1, classes=10, mean=(0.286,), std=(0.353,), training={"shift": 1, "flip": True}, half=True)


class FashionMNIST(Dataset):
    """Fashion-MNIST with frozen splits and networks; queries and references are official test images."""

    name = "fashion-mnist"
    version = "v1"
    title = "Fashion-MNIST"
    classes = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    image_shape = (1, 28, 28)
    objects = Brighter(25)
    licence = "MIT, (c) 2017 Zalando SE"
    citation = "Xiao, Rasul, Vollgraf: Fashion-MNIST, arXiv 1708.07747 (2017)"
    homepage = "https://github.com/zalandoresearch/fashion-mnist"
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 1000, "validation": 500, "reference": 5000, "pool": 10000}
    networks: ClassVar[Mapping[str, NetworkSpec]] = {
        "classifier": _ZOO.trained(
            "classifier", "PlainCNN 24-48-96, depth 2", PlainCNN, widths=WIDTHS, depth=2, epochs=12, seed=1, half=False
        ),
        "distilled": _ZOO.distilled("PlainCNN 24-48-96, depth 2", PlainCNN, widths=WIDTHS, depth=2, epochs=2, seed=2),
        "oracle-1": _ZOO.trained("oracle", "ResNet 16-32-64", ResNet, widths=(16, 32, 64), epochs=12, seed=11),
        "oracle-2": _ZOO.trained(
            "oracle",
            "ConvMixer 48, depth 4, patch 2, kernel 5",
            ConvMixer,
            width=48,
            depth=4,
            patch=2,
            kernel=5,
            epochs=12,
            seed=12,
        ),
        "oracle-3": _ZOO.trained(
            "oracle", "DenseNet 32, growth 16-24", DenseNet, stem=32, growths=(16, 24), layers=4, epochs=12, seed=13
        ),
        "extractor": _ZOO.trained(
            "extractor",
            "MobileNet 16-24-32, 64 features",
            MobileNet,
            widths=(16, 24, 32),
            expansion=3,
            features=64,
            epochs=12,
            seed=21,
        ),
        **_ZOO.autoencoders(epochs=4, class_epochs=20, seed=30),
        "loss-estimator": _ZOO.loss_estimator(WIDTHS, epochs=2, seed=41),
        "joint": _ZOO.joint("PlainCNN 24-48-96, depth 2", PlainCNN, WIDTHS, epochs=4, seed=42, widths=WIDTHS, depth=2),
        "duq": _ZOO.duq(WIDTHS[-1], epochs=1, seed=43, sigma=0.3, outside="mnist"),
        "robust": _ZOO.robust(
            "PlainCNN 16-32-64, depth 2",
            PlainCNN,
            epsilon=0.05,
            epochs=3,
            seed=44,
            widths=(16, 32, 64),
            depth=2,
        ),
        **_ZOO.generators(side=28, epochs={"vae": 3, "gan": 1, "diffusion": 4}, seed=70),
    }

    def raw(self, root: Path | None) -> RawData:
        folders = [] if root is None else [root, root / "FashionMNIST" / "raw", root / "fashion-mnist"]
        advice = "; on Debian: apt-get install dataset-fashion-mnist"
        return published_pairs("FashionMNIST", FILES, [*folders, DEBIAN_FOLDER], source=SOURCE, advice=advice)
