"""CelebA (arXiv 1411.7766): faces of celebrities with 40 attributes, here the middle 148 pixels at 64 x 64 RGB.

Images are never shipped. They are read from the user's copy in torchvision's layout: ``img_align_celeba/``,
``list_attr_celeba.txt`` and ``list_eval_partition.txt`` in one folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pandas as pd
import torch
from torch import Tensor

from cfbench.dataset import Images, NetworkSpec, RawData
from cfbench.errors import CorruptFile, MissingResource, UnknownName
from cfbench.folders import FolderDataset
from cfbench.networks import ConvMixer, DenseNet, MobileNet, PlainCNN, ResNet
from cfbench.pictures import read_pictures
from cfbench.zoo import Zoo

SIDE, CROP = 64, 148
PARTS = {"train": 0, "validation": 1, "test": 2}
HELP = (
    "ask for CelebA at https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (research only), or let "
    "torchvision.datasets.CelebA(ROOT, download=True) fetch it, and give the folder with --data or $CFBENCH_DATA"
)

_ZOO = Zoo(
    channels=3,
    classes=2,
    mean=(0.52, 0.42, 0.36),
    std=(0.30, 0.27, 0.26),
    training={"shift": 2, "flip": True},
)


def _networks() -> dict[str, NetworkSpec]:
    return {
        "classifier": _ZOO.trained(
            "classifier", "PlainCNN 16-32-64-96, depth 2", PlainCNN, widths=(16, 32, 64, 96), depth=2, epochs=8, seed=1
        ),
        "oracle-1": _ZOO.trained("oracle", "ResNet 12-24-48-96", ResNet, widths=(12, 24, 48, 96), epochs=4, seed=11),
        "oracle-2": _ZOO.trained(
            "oracle",
            "ConvMixer 64, depth 4, patch 4, kernel 5",
            ConvMixer,
            width=64,
            depth=4,
            patch=4,
            kernel=5,
            epochs=6,
            seed=12,
        ),
        "oracle-3": _ZOO.trained(
            "oracle",
            "DenseNet 12, growth 12-16-20",
            DenseNet,
            stem=12,
            growths=(12, 16, 20),
            layers=3,
            epochs=4,
            seed=13,
        ),
        "extractor": _ZOO.trained(
            "extractor",
            "MobileNet 12-16-32-48, 64 features",
            MobileNet,
            widths=(12, 16, 32, 48),
            expansion=2,
            features=64,
            epochs=4,
            seed=21,
        ),
        **_ZOO.autoencoders(epochs=2, class_epochs=3, seed=30),
    }


def _folder(root: Path | None) -> Path:
    for folder in [] if root is None else [root, root / "celeba", root / "CelebA"]:
        if (folder / "list_attr_celeba.txt").is_file():
            return folder
    where = "here" if root is None else f"in {root}"
    raise MissingResource(f"CelebA (list_attr_celeba.txt) is not {where}; {HELP}")


def read_attributes(root: Path | None) -> pd.DataFrame:
    """The 40 attributes (1 or -1) of every picture, by its number.

    Raises:
        MissingResource: the list is not in ``root``. CorruptFile: it is not the list that was published.
    """
    path = _folder(root) / "list_attr_celeba.txt"
    try:
        table = pd.read_csv(path, sep=r"\s+", skiprows=1)
        table.index = pd.Index(table.index.str.removesuffix(".jpg").astype(int), name="number")
    except (ValueError, AttributeError) as error:
        raise CorruptFile(f"{path} is not a list of attributes ({error}); {HELP}") from error
    if not table.isin([-1, 1]).all(axis=None):
        raise CorruptFile(f"{path} has values other than 1 and -1; {HELP}")
    return table


class _CelebA(FolderDataset):
    version = "v1"
    image_shape = (3, SIDE, SIDE)
    licence = "non-commercial research only, no redistribution"
    citation = "Liu, Luo, Wang, Tang: Deep learning face attributes in the wild, ICCV 2015"
    homepage = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    attribute: ClassVar[str]

    def raw(self, root: Path | None) -> RawData:
        attributes = read_attributes(root)
        if self.attribute not in attributes:
            raise UnknownName(f"CelebA has no attribute {self.attribute!r}; it has {', '.join(attributes)}")
        lines = (_folder(root) / "list_eval_partition.txt").read_text().split("\n")
        partition = dict(line.split() for line in lines if line)
        parts = {}
        for part, code in PARTS.items():
            numbers = [number for number in attributes.index if partition.get(f"{number:06d}.jpg") == str(code)]
            labels = (attributes.loc[numbers, self.attribute] == 1).to_numpy().astype("int64")
            parts[part] = Images(self.pictures(root, numbers), torch.from_numpy(labels), torch.tensor(numbers))
        return RawData(**parts)

    def pictures(self, root: Path | None, numbers: list[int]) -> Tensor:
        folder = _folder(root) / "img_align_celeba"
        try:
            return read_pictures([folder / f"{number:06d}.jpg" for number in numbers], side=SIDE, crop=CROP)
        except MissingResource as error:
            raise MissingResource(f"{error}; {HELP}") from error


class CelebASmiling(_CelebA):
    """Does this face smile? Pictures are the user's own copy; networks learnt from 9,500 training pictures."""

    name = "celeba-smiling"
    title = "CelebA, smiling"
    classes = ("not smiling", "smiling")
    attribute = "Smiling"
    subfolder = "smiling"
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 1000, "validation": 500, "reference": 900, "pool": 4000}
    networks: ClassVar[Mapping[str, NetworkSpec]] = _networks()


class CelebAYoung(_CelebA):
    """Is this face young? Pictures are the user's own copy; networks learnt from 9,500 training pictures."""

    name = "celeba-young"
    title = "CelebA, young"
    classes = ("not young", "young")
    attribute = "Young"
    subfolder = "young"
    balanced = False
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 600, "validation": 300, "reference": 900, "pool": 4000}
    networks: ClassVar[Mapping[str, NetworkSpec]] = _networks()
