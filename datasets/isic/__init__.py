"""ISIC 2017 (arXiv 1710.05006): 2,750 dermatoscopic pictures of skin lesions, three classes, here 64 x 64 RGB.

All pictures ship in ``images.npz`` as JPEG streams, made from copies of 256 x 256 pixels. Networks also learnt from
HAM10000, whose pictures may not be shipped: rebuilding them needs that set.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from cfbench.dataset import Dataset, Images, NetworkSpec, RawData
from cfbench.datasets.ham10000 import helpers, judges, read_lesions, read_metadata
from cfbench.files import read_verified, write_atomic
from cfbench.manifest import FileEntry, file_entry
from cfbench.networks import EfficientNetLite
from cfbench.networks.efficientnet import load_imagenet
from cfbench.objects import DarkerThanBorder
from cfbench.pictures import read_jpegs, read_pictures, write_jpegs
from cfbench.zoo import Zoo

SIDE = 64
CLASSES = ("melanoma", "seborrheic keratosis", "nevus")
PACK = Path(__file__).parent / "images.npz"
PACK_SHA256 = "8013ef7317f69607d09a46f27d8bb9c878485d9780fb6e0030781da371ae52cc"
PARTS = ("train", "validation", "test")
REFERENCES = 450
SEED = 2017
SAME = {"mel": 0, "bkl": 1, "nv": 2}
"""Classes of HAM10000 that stand for those here; most of its ``bkl`` are seborrheic keratoses."""
EXTRA = 2000
"""Pictures of a class taken from HAM10000 at most."""

TWICE = (12175, 12271, 12887, 12970, 13163)
"""Numbers of training pictures that are also, under another number, official validation or test pictures: left out."""

_ZOO = Zoo(
    channels=3,
    classes=len(CLASSES),
    mean=(127 / 255,) * 3,
    std=(128 / 255,) * 3,
    training={"turn": True},
    half=True,
    weighing={"weighted": True, "auc": {"melanoma": 0, "keratosis": 1}},
)


def pack(root: Path, path: Path) -> None:
    """Write all pictures at 64 x 64 to ``path``, from ``root/labels.csv`` and ``root/images``.

    The table has the columns file, image_id, split (train, val, test), melanoma and seborrheic_keratosis.
    """
    table = pd.read_csv(root / "labels.csv")
    labels = np.select([table["melanoma"] == 1, table["seborrheic_keratosis"] == 1], [0, 1], default=2)
    images = read_pictures([root / file for file in table["file"]], side=SIDE)
    numbers = table["image_id"].str.removeprefix("ISIC_").astype(int)
    write_jpegs(
        path,
        images,
        numbers=numbers.to_numpy(np.int64),
        labels=labels.astype(np.int64),
        parts=table["split"].replace("val", "validation").map(PARTS.index).to_numpy(np.int64),
    )


@cache
def published() -> tuple[Tensor, dict[str, np.ndarray]]:
    """All pictures ``[2750, 3, 64, 64]``, their ``numbers``, ``labels`` and ``parts``."""
    return read_jpegs(read_verified(PACK, sha256=PACK_SHA256, remedy="reinstall cfbench-vision"))


def own_parts() -> dict[str, Images]:
    """The packaged pictures: train, reference (held out of training), validation and test."""
    images, columns = published()
    labels, numbers = (torch.from_numpy(columns[name]) for name in ("labels", "numbers"))
    rows = {part: np.flatnonzero(columns["parts"] == code) for code, part in enumerate(PARTS)}
    shuffled = np.random.default_rng(SEED).permutation(rows["train"])
    shuffled = shuffled[~np.isin(columns["numbers"][shuffled], TWICE)]
    rows |= {"reference": shuffled[:REFERENCES], "train": shuffled[REFERENCES:]}
    return {part: Images(images[chosen], labels[chosen], numbers[chosen]) for part, chosen in rows.items()}


def _extra(train: Images, root: Path | None) -> Images:
    """Pictures of HAM10000, and those of ISIC 2017 again so that each weighs twice as much."""
    folder, table = read_metadata(root)
    table = table[table["dx"].isin(list(SAME))].groupby("dx").head(EXTRA)
    labels = torch.tensor([SAME[name] for name in table["dx"]])
    images = read_lesions(folder, table["image_id"].tolist())
    return Images(torch.cat([train.images, images]), torch.cat([train.labels, labels]))


def start_from_imagenet(network: nn.Module) -> None:
    """Set the stages to the published weights and the head to zero, so that it does not disturb them at first."""
    assert isinstance(network, EfficientNetLite)
    load_imagenet(network)
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)


class ISIC2017(Dataset):
    """Melanoma, seborrheic keratosis or nevus? All 2,750 pictures are packaged.

    Queries are every official test and validation picture that the classifier gets right; references are 450 official
    training pictures that no network learnt from.

    The area of melanoma under the ROC curve on test pictures of 64 x 64 was .66 to .72 with features of
    EfficientNet-Lite0 from ImageNet, .68 to .74 when they were fine-tuned on HAM10000 too, and .62 to .65 of small
    networks without ImageNet. On validation pictures, by which the classifier was chosen, it is .80 (.73 on test
    pictures); the mean over 4 and 8 views of each picture would bring .81 and .82 (.74 and .75) at as many times the
    cost of every method. The standard error on the 117 melanomas of the test part is about .03.
    """

    name = "isic"
    version = "v1"
    title = "ISIC 2017"
    classes = CLASSES
    image_shape = (3, SIDE, SIDE)
    objects = DarkerThanBorder()
    licence = "CC-0, as ISIC states"
    citation = "Codella et al.: Skin lesion analysis toward melanoma detection, ISBI 2018 (arXiv 1710.05006)"
    homepage = "https://challenge.isic-archive.com/data/#2017"
    balanced = False
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 600, "validation": 150, "reference": 450, "pool": 1545}
    networks: ClassVar[Mapping[str, NetworkSpec]] = {
        "classifier": _ZOO.trained(
            "classifier",
            "EfficientNetLite, 7 stages, from ImageNet",
            EfficientNetLite,
            epochs=5,
            seed=1,
            recipe={
                "start": start_from_imagenet,
                "vary": True,
                "average": 0.99,
                "batch": 64,
                "rate": 5e-4,
                "decay": 0.05,
            },
            depth=7,
            scale=1,
        ),
        **judges(_ZOO),
        **helpers(_ZOO, depth=7),
        **_ZOO.autoencoders(epochs=2, class_epochs=2, seed=30, width=8, least=80),
    }

    def raw(self, root: Path | None) -> RawData:
        parts = own_parts()
        return RawData(**parts, extra=_extra(parts["train"], root))

    def split_images(self, split: str) -> Tensor:
        images, columns = published()
        rows = pd.Index(columns["numbers"]).get_indexer(pd.Index(self.table(split)["raw_index"]))
        return images[rows]

    def write_images(self, folder: Path, parts: Mapping[str, Tensor]) -> dict[str, FileEntry]:
        """Put the archive of all pictures into ``folder``; splits refer to it by number."""
        if not (folder / PACK.name).is_file():
            data = read_verified(PACK, sha256=PACK_SHA256, remedy="reinstall cfbench-vision")
            write_atomic(folder / PACK.name, lambda path: path.write_bytes(data))
        return {PACK.name: file_entry(folder, PACK.name)}
