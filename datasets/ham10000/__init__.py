"""HAM10000 (arXiv 1803.10417): dermatoscopic pictures of pigmented skin lesions, seven classes, here 64 x 64 RGB."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pandas as pd
import torch
from torch import Tensor

from cfbench.dataset import Images, NetworkSpec, RawData
from cfbench.errors import CorruptFile, MissingResource
from cfbench.files import sha256_bytes
from cfbench.folders import FolderDataset
from cfbench.networks import ConvMixer, DenseNet, EfficientNetLite, MobileNet, PlainCNN, ResNet
from cfbench.networks.efficientnet import load_imagenet, map_widths
from cfbench.objects import DarkerThanBorder
from cfbench.pictures import read_pictures
from cfbench.zoo import Zoo

SIDE = 64
DIAGNOSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
HELP = (
    "get HAM10000_metadata and HAM10000_images_part_1.zip and _2.zip from https://doi.org/10.7910/DVN/DBW86T, unpack "
    "them into one folder and give it with --data or $CFBENCH_DATA"
)
TABLES = ("HAM10000_metadata", "HAM10000_metadata.csv", "metadata.csv")
FOLDERS = ("HAM10000_images_part_1", "HAM10000_images_part_2", "images", ".")

WIDTHS = (16, 32, 64, 128)
SLIM_WIDTHS = (16, 32, 64, 64)
SLIM, SLIM_SIZES = "PlainCNN 16-32-64-64, depth 2, stride 2", {"widths": SLIM_WIDTHS, "depth": 2, "stride": 2}
"""A small network for 64 x 64 pixels."""

_ZOO = Zoo(
    channels=3,
    classes=len(DIAGNOSES),
    mean=(0.78, 0.53, 0.55),
    std=(0.13, 0.16, 0.17),
    training={"turn": True},
    half=True,
    weighing={"weighted": True, "auc": {"mel": DIAGNOSES.index("mel")}},
)


def _part(lesion: str) -> str:
    """Which part all pictures of a lesion belong to: an eighth each to validation and a quarter to test."""
    byte = int(sha256_bytes(lesion.encode())[:2], 16)
    return "test" if byte < 64 else "validation" if byte < 96 else "train"


def read_metadata(root: Path | None) -> tuple[Path, pd.DataFrame]:
    """The folder of the set and its table of lesions, with the part of each added.

    Raises:
        MissingResource: it is not in ``root``. CorruptFile: it is another table.
    """
    for folder in [] if root is None else [root, root / "ham10000", root / "HAM10000"]:
        for name in TABLES:
            if (folder / name).is_file():
                table = pd.read_csv(folder / name)
                if not {"image_id", "lesion_id", "dx"} <= set(table.columns):
                    raise CorruptFile(f"{folder / name} has no columns image_id, lesion_id and dx; {HELP}")
                if unknown := set(table["dx"]) - set(DIAGNOSES):
                    found = ", ".join(sorted(map(str, unknown)))
                    raise CorruptFile(f"{folder / name} has diagnoses {found}; expected {', '.join(DIAGNOSES)}; {HELP}")
                return folder, table.assign(part=table["lesion_id"].map(_part))
    where = "here" if root is None else f"in {root}"
    raise MissingResource(f"HAM10000 is not {where}; {HELP}")


def read_lesions(folder: Path, names: list[str]) -> Tensor:
    """Pictures by name, ``[N, 3, 64, 64]`` uint8.

    Raises:
        MissingResource: some are missing; says how many, and how to get them.
    """
    found = {path.stem: path for place in FOLDERS for path in (folder / place).glob("ISIC_*.jpg")}
    try:
        return read_pictures([found.get(name, folder / f"{name}.jpg") for name in names], side=SIDE)
    except MissingResource as error:
        raise MissingResource(f"{error}; {HELP}") from error


def judges(zoo: Zoo) -> dict[str, NetworkSpec]:
    """Distilled copy, oracles and extractor for skin lesions, here and in ISIC 2017."""
    return {
        "distilled": zoo.distilled(SLIM, PlainCNN, **SLIM_SIZES, epochs=3, seed=2),
        "oracle-1": zoo.trained(
            "oracle", "ResNet 16-32-64-128, stride 2", ResNet, widths=WIDTHS, stride=2, epochs=8, seed=11
        ),
        "oracle-2": zoo.trained(
            "oracle",
            "ConvMixer 96, depth 4, patch 8, kernel 5",
            ConvMixer,
            width=96,
            depth=4,
            patch=8,
            kernel=5,
            epochs=10,
            seed=12,
        ),
        "oracle-3": zoo.trained(
            "oracle",
            "DenseNet 24, growth 16-24-32, stride 2",
            DenseNet,
            stem=24,
            growths=(16, 24, 32),
            layers=3,
            stride=2,
            epochs=8,
            seed=13,
        ),
        "extractor": zoo.trained(
            "extractor",
            "MobileNet 16-24-32-64, 64 features, stride 2",
            MobileNet,
            widths=(16, 24, 32, 64),
            expansion=2,
            features=64,
            stride=2,
            epochs=8,
            seed=21,
        ),
    }


def helpers(zoo: Zoo, depth: int) -> dict[str, NetworkSpec]:
    """What methods may ask for: heads on an EfficientNetLite of ``depth`` stages, other classifiers, generators."""
    maps = map_widths(depth)
    return {
        "loss-estimator": zoo.loss_estimator(maps, epochs=2, seed=41),
        "joint": zoo.joint(SLIM, PlainCNN, SLIM_WIDTHS, **SLIM_SIZES, epochs=5, seed=42),
        "duq": zoo.duq(maps[-1], epochs=2, seed=43, sigma=0.3),
        "robust": zoo.robust(SLIM, PlainCNN, **SLIM_SIZES, epsilon=2 / 255, epochs=4, seed=44),
        **zoo.generators(side=SIDE, epochs={"vae": 5, "gan": 4, "diffusion": 5}, seed=70),
    }


class HAM10000(FolderDataset):
    """What is this skin lesion? Seven diagnoses; the pictures are the user's own copy.

    No lesion is in two parts. Networks were trained on 7,496 pictures of it at a resolution of 112.
    """

    name = "ham10000"
    version = "v1"
    title = "HAM10000"
    classes = DIAGNOSES
    image_shape = (3, SIDE, SIDE)
    objects = DarkerThanBorder()
    licence = "CC BY-NC 4.0, (c) Medical University of Vienna; not shipped"
    citation = "Tschandl, Rosendahl, Kittler: The HAM10000 dataset, Scientific Data 5 (2018)"
    homepage = "https://doi.org/10.7910/DVN/DBW86T"
    balanced = False
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 500, "validation": 200, "reference": 800, "pool": 3000}
    networks: ClassVar[Mapping[str, NetworkSpec]] = {
        "classifier": _ZOO.trained(
            "classifier",
            "EfficientNetLite, 5 stages, from ImageNet",
            EfficientNetLite,
            epochs=4,
            seed=1,
            recipe={"start": load_imagenet, "rate": 1e-3},
            depth=5,
            scale=1,
        ),
        **judges(_ZOO),
        **helpers(_ZOO, depth=5),
        **_ZOO.autoencoders(epochs=2, class_epochs=2, seed=30, width=8, least=80),
    }

    def raw(self, root: Path | None) -> RawData:
        folder, table = read_metadata(root)
        images = read_lesions(folder, table["image_id"].tolist())
        labels = torch.tensor([DIAGNOSES.index(name) for name in table["dx"]])
        numbers = torch.tensor(table["image_id"].str.removeprefix("ISIC_").astype(int).to_numpy(copy=True))
        parts = {}
        for part in ("train", "validation", "test"):
            chosen = torch.tensor((table["part"] == part).to_numpy(copy=True))
            parts[part] = Images(images[chosen], labels[chosen], numbers[chosen])
        return RawData(**parts)

    def pictures(self, root: Path | None, numbers: list[int]) -> Tensor:
        folder, _ = read_metadata(root)
        return read_lesions(folder, [f"ISIC_{number:07d}" for number in numbers])
