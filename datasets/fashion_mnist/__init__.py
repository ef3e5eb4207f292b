"""Fashion-MNIST (arXiv 1708.07747): 70,000 pictures of clothing, 28 x 28 gray, ten classes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch

from cfbench.dataset import Dataset, Images, NetworkSpec, RawData
from cfbench.errors import MissingResource
from cfbench.files import cache_dir
from cfbench.idx import read_idx
from cfbench.networks import Autoencoder, ConvMixer, DenseNet, MobileNet, PlainCNN, ResNet
from cfbench.training import AutoencoderRecipe, ClassifierRecipe

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}

_COMMON: dict[str, Any] = {"channels": 1, "classes": 10, "mean": (0.286,), "std": (0.353,)}


def _classifier(role: str, description: str, build: Any, *, epochs: int, seed: int, **sizes: Any) -> NetworkSpec:
    recipe = ClassifierRecipe(epochs=epochs, shift=1, flip=True)
    return NetworkSpec(role, description, partial(build, **_COMMON, **sizes), recipe, seed)


def _autoencoder(only_class: int | None, *, epochs: int, seed: int) -> NetworkSpec:
    recipe = AutoencoderRecipe(epochs=epochs, only_class=only_class)
    return NetworkSpec("autoencoder", "Autoencoder, width 16", partial(Autoencoder, channels=1), recipe, seed)


class FashionMNIST(Dataset):
    """Fashion-MNIST with frozen splits and networks; queries and references are official test images."""

    name = "fashion-mnist"
    version = "v1"
    title = "Fashion-MNIST"
    classes = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    image_shape = (1, 28, 28)
    licence = "MIT, (c) 2017 Zalando SE"
    citation = "Xiao, Rasul, Vollgraf: Fashion-MNIST, arXiv 1708.07747 (2017)"
    homepage = "https://github.com/zalandoresearch/fashion-mnist"
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 1000, "validation": 500, "reference": 5000, "pool": 10000}
    networks: ClassVar[Mapping[str, NetworkSpec]] = {
        "classifier": _classifier(
            "classifier", "PlainCNN 24-48-96, depth 2", PlainCNN, widths=(24, 48, 96), depth=2, epochs=12, seed=1
        ),
        "oracle-1": _classifier("oracle", "ResNet 16-32-64", ResNet, widths=(16, 32, 64), epochs=12, seed=11),
        "oracle-2": _classifier(
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
        "oracle-3": _classifier(
            "oracle", "DenseNet 32, growth 16-24", DenseNet, stem=32, growths=(16, 24), layers=4, epochs=12, seed=13
        ),
        "extractor": _classifier(
            "extractor",
            "MobileNet 16-24-32, 64 features",
            MobileNet,
            widths=(16, 24, 32),
            expansion=3,
            features=64,
            epochs=12,
            seed=21,
        ),
        "autoencoder-all": _autoencoder(None, epochs=4, seed=30),
        **{f"autoencoder-{label}": _autoencoder(label, epochs=20, seed=31 + label) for label in range(10)},
    }

    def raw(self, root: Path | None) -> RawData:
        folders = [DEBIAN_FOLDER, cache_dir() / "FashionMNIST" / "raw"]
        if root is not None:
            folders = [root, root / "FashionMNIST" / "raw", root / "fashion-mnist", *folders]
        try:
            return _read(folders)
        except MissingResource:
            _download(cache_dir())
            return _read(folders)


def _read(folders: list[Path]) -> RawData:
    arrays = {name: torch.from_numpy(read_idx(folders, name, sha256=sha256).copy()) for name, sha256 in FILES.items()}
    return RawData(
        train=Images(arrays["train-images-idx3-ubyte"][:, None], arrays["train-labels-idx1-ubyte"].long()),
        test=Images(arrays["t10k-images-idx3-ubyte"][:, None], arrays["t10k-labels-idx1-ubyte"].long()),
    )


def _download(root: Path) -> None:
    from torchvision.datasets import FashionMNIST as Published

    try:
        Published(str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise MissingResource(
            f"the Fashion-MNIST files are not here and cannot be downloaded ({error}); on Debian: "
            "apt-get install dataset-fashion-mnist; or give their folder with --data or $CFBENCH_DATA"
        ) from error
