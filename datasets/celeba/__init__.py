"""CelebA (arXiv 1411.7766): faces of celebrities with 40 attributes, here the middle 148 pixels at 64 x 64 RGB.

Images are never shipped. They are read from the user's copy in torchvision's layout: ``img_align_celeba/``,
``list_attr_celeba.txt`` and ``list_eval_partition.txt`` in one folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

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

ATTRIBUTES = (
    "5_o_Clock_Shadow",
    "Arched_Eyebrows",
    "Attractive",
    "Bags_Under_Eyes",
    "Bald",
    "Bangs",
    "Big_Lips",
    "Big_Nose",
    "Black_Hair",
    "Blond_Hair",
    "Blurry",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Chubby",
    "Double_Chin",
    "Eyeglasses",
    "Goatee",
    "Gray_Hair",
    "Heavy_Makeup",
    "High_Cheekbones",
    "Male",
    "Mouth_Slightly_Open",
    "Mustache",
    "Narrow_Eyes",
    "No_Beard",
    "Oval_Face",
    "Pale_Skin",
    "Pointy_Nose",
    "Receding_Hairline",
    "Rosy_Cheeks",
    "Sideburns",
    "Smiling",
    "Straight_Hair",
    "Wavy_Hair",
    "Wearing_Earrings",
    "Wearing_Hat",
    "Wearing_Lipstick",
    "Wearing_Necklace",
    "Wearing_Necktie",
    "Young",
)
"""The attributes in the published order."""

WIDTHS = (16, 32, 64, 128)
"""Channels of the classifiers' feature maps."""
ROBUST = {"Smiling": 4, "Young": 1}
"""Levels of 255 by which robust classifiers may be attacked; at 4, youth was not learnt."""
SLIM, SLIM_WIDTHS = "PlainCNN 16-32-64-64, depth 2, stride 2", (16, 32, 64, 64)

_ZOO = Zoo(
    channels=3,
    classes=2,
    mean=(0.52, 0.42, 0.36),
    std=(0.30, 0.27, 0.26),
    training={"shift": 2, "flip": True},
    half=True,
)


def _networks(attribute: str) -> dict[str, NetworkSpec]:
    """Those of the task ``attribute``; attribute networks, generators and ``autoencoder-all`` are the same for all."""
    sizes: dict[str, Any] = {"widths": WIDTHS, "depth": 2, "stride": 2}
    slim: dict[str, Any] = {**sizes, "widths": SLIM_WIDTHS}
    description = "PlainCNN 16-32-64-128, depth 2, stride 2"
    oracle: dict[str, Any] = {"names": ATTRIBUTES, "target": attribute, "epochs": 6}
    return {
        "classifier": _ZOO.trained("classifier", description, PlainCNN, epochs=10, seed=1, **sizes),
        "distilled": _ZOO.distilled(SLIM, PlainCNN, epochs=4, seed=2, **slim),
        **_ZOO.attribute_oracle(
            1, "ResNet 16-32-64-128, stride 2", ResNet, widths=(16, 32, 64, 128), stride=2, seed=11, **oracle
        ),
        **_ZOO.attribute_oracle(
            2,
            "ConvMixer 48, depth 4, patch 4, kernel 5",
            ConvMixer,
            width=48,
            depth=4,
            patch=4,
            kernel=5,
            seed=12,
            **oracle,
        ),
        **_ZOO.attribute_oracle(
            3,
            "DenseNet 24, growth 16-24-32, stride 2",
            DenseNet,
            stem=24,
            growths=(16, 24, 32),
            layers=3,
            stride=2,
            seed=13,
            **oracle,
        ),
        "extractor": _ZOO.attributes(
            "extractor",
            "MobileNet 16-24-32-64, 64 features, stride 2",
            MobileNet,
            names=ATTRIBUTES,
            widths=(16, 24, 32, 64),
            expansion=2,
            features=64,
            stride=2,
            epochs=5,
            seed=21,
        ),
        **_ZOO.autoencoders(epochs=2, class_epochs=2, seed=30, width=8),
        "attributes": _ZOO.attributes("attributes", description, PlainCNN, names=ATTRIBUTES, epochs=5, seed=3, **sizes),
        "loss-estimator": _ZOO.loss_estimator(WIDTHS, epochs=3, seed=41),
        "joint": _ZOO.joint(SLIM, PlainCNN, SLIM_WIDTHS, epochs=5, seed=42, **slim),
        "duq": _ZOO.duq(WIDTHS[-1], epochs=3, seed=43, sigma=0.3),
        "robust": _ZOO.robust(SLIM, PlainCNN, epsilon=ROBUST[attribute] / 255, epochs=4, seed=44, **slim),
        **_ZOO.generators(
            side=SIDE,
            epochs={"vae": 6, "gan": 6, "diffusion": 8},
            seed=70,
            attributes=len(ATTRIBUTES),
            held_by="attributes",
        ),
    }


def _folder(root: Path | None) -> Path:
    for folder in [] if root is None else [root, root / "celeba", root / "CelebA"]:
        if (folder / "list_attr_celeba.txt").is_file():
            return folder
    where = "here" if root is None else f"in {root}"
    raise MissingResource(f"CelebA (list_attr_celeba.txt) is not {where}; {HELP}")


def _by_number(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_axis(pd.Index(table.index.str.removesuffix(".jpg").astype(int), name="number"))


def read_attributes(root: Path | None) -> pd.DataFrame:
    """The 40 attributes (1 or -1) of every picture, by its number.

    Raises:
        MissingResource: the list is not in ``root``. CorruptFile: it is not the list that was published.
    """
    path = _folder(root) / "list_attr_celeba.txt"
    try:
        table = _by_number(pd.read_csv(path, sep=r"\s+", skiprows=1))
    except (ValueError, AttributeError) as error:
        raise CorruptFile(f"{path} is not a list of attributes ({error}); {HELP}") from error
    if not table.isin([-1, 1]).all(axis=None):
        raise CorruptFile(f"{path} has values other than 1 and -1; {HELP}")
    return table


def read_partition(root: Path | None) -> pd.Series[int]:
    """The official part of every picture, a value of ``PARTS``, by its number.

    Raises:
        MissingResource: the list is not in ``root``. CorruptFile: it is not the list that was published.
    """
    path = _folder(root) / "list_eval_partition.txt"
    try:
        parts = _by_number(pd.read_csv(path, sep=r"\s+", header=None, index_col=0))[1]
    except FileNotFoundError:
        raise MissingResource(f"{path} is missing; {HELP}") from None
    except (ValueError, AttributeError, KeyError) as error:
        raise CorruptFile(f"{path} is not a list of parts ({error}); {HELP}") from error
    if not parts.isin(PARTS.values()).all():
        raise CorruptFile(f"{path} has parts other than 0, 1 and 2; {HELP}")
    return parts


class _CelebA(FolderDataset):
    version = "v1"
    image_shape = (3, SIDE, SIDE)
    licence = "non-commercial research only, no redistribution"
    citation = "Liu, Luo, Wang, Tang: Deep learning face attributes in the wild, ICCV 2015"
    homepage = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    attributes = ATTRIBUTES

    def raw(self, root: Path | None) -> RawData:
        [attribute] = self.target_attributes
        table = read_attributes(root)
        if attribute not in table:
            raise UnknownName(f"CelebA has no attribute {attribute!r}; it has {', '.join(table)}")
        partition = read_partition(root)
        parts = {}
        for part, code in PARTS.items():
            chosen = table[partition.reindex(table.index) == code]
            if chosen.empty:
                raise MissingResource(f"no picture of CelebA is of the {part} part; {HELP}")
            has = torch.from_numpy((chosen == 1).to_numpy().astype("int64"))
            numbers = chosen.index.tolist()
            label = has[:, list(table).index(attribute)]
            parts[part] = Images(self.pictures(root, numbers), label, torch.tensor(numbers), has)
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
    target_attributes = ("Smiling",)
    subfolder = "smiling"
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 1000, "validation": 500, "reference": 900, "pool": 4000}
    networks: ClassVar[Mapping[str, NetworkSpec]] = _networks("Smiling")


class CelebAYoung(_CelebA):
    """Is this face young? Pictures are the user's own copy; networks learnt from 9,500 training pictures."""

    name = "celeba-young"
    title = "CelebA, young"
    classes = ("not young", "young")
    target_attributes = ("Young",)
    subfolder = "young"
    balanced = False
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 600, "validation": 300, "reference": 900, "pool": 4000}
    networks: ClassVar[Mapping[str, NetworkSpec]] = _networks("Young")
