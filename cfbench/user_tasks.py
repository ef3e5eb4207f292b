"""Tasks that users make of their own pictures: facts in a folder, from which their data set is put together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, PositiveInt, ValidationError

from cfbench.dataset import Dataset, Images, NetworkSpec, RawData
from cfbench.errors import CorruptFile, MissingResource, RunMismatch
from cfbench.files import content_hash, write_text
from cfbench.given import Given, GivenRecipe, TimmClassifier, load_given, start_from_timm
from cfbench.networks import ConvMixer, DenseNet, MobileNet, PlainCNN, ResNet
from cfbench.picture_folder import Decoded, PictureFolder, decode, open_folder
from cfbench.preparation import SPLIT_SEED
from cfbench.registry import TASK_FILE
from cfbench.training import AutoencoderRecipe, ClassifierRecipe
from cfbench.zoo import Zoo

SCRIPT = "networks/classifier.pt"
"""Where a task keeps its copy of a TorchScript classifier."""

LAYOUT = 1
"""Version of what is made of a user's pictures: splits, architectures, recipes."""

BATCH = 32

LARGEST = {"test": 1000, "validation": 500, "reference": 5000, "pool": 10000}
"""Most images of a split."""

SHARES = {"test": 0.4, "validation": 0.2}
"""Share of the held-out images that are queries; the rest are reference images."""


Channels = Annotated[int, Field(ge=1, le=3)]
Side = Annotated[int, Field(ge=8, le=10_000)]
Spread = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Facts(BaseModel):
    """What a user's task was made of; its version is a hash of all but its name and where things lie."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    layout: int
    name: str
    source: str
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    image_shape: tuple[Channels, Side, Side]
    mean: tuple[FiniteFloat, ...]
    std: tuple[Spread, ...]
    training: NonNegativeInt
    held_out: NonNegativeInt
    skipped: NonNegativeInt
    duplicates: NonNegativeInt
    pictures: str
    epochs: PositiveInt
    classifier: Given | None

    @property
    def version(self) -> str:
        """The first digits of a hash of the pictures, the classifier and the settings."""
        told = self.model_dump(mode="json", exclude={"name", "source", "classifier"})
        return content_hash([told, self.classifier and self.classifier.identity, SPLIT_SEED])[:8]

    @property
    def split_sizes(self) -> dict[str, int]:
        """Most images of each split, by how many there are."""
        sizes = {split: round(share * self.held_out) for split, share in SHARES.items()}
        sizes |= {"reference": self.held_out, "pool": self.training}
        return {split: min(size, LARGEST[split]) for split, size in sizes.items()}

    def write(self, folder: Path) -> None:
        """Write them, with the version, into ``folder``."""
        stored = {"version": self.version, "facts": self.model_dump(mode="json")}
        write_text(folder / TASK_FILE, _Stored.model_validate(stored).model_dump_json(indent=2) + "\n")


class _Stored(BaseModel):
    version: str
    facts: Facts


def read_facts(folder: Path) -> Facts:
    """The facts of the task in ``folder``.

    Raises:
        MissingResource: there is none. CorruptFile: they were changed, or are of another release.
    """
    path = folder / TASK_FILE
    try:
        stored = _Stored.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise MissingResource(f"{path} is missing; make the task with: cfbench prepare --from-folder DIR") from None
    except ValidationError as error:
        raise CorruptFile(
            f"{path} is damaged: {error.errors()[0]['msg']}; remove {folder} and make it again"
        ) from error
    if stored.facts.layout != LAYOUT:
        raise CorruptFile(
            f"{path} was made by another release of cfbench; use that one, or remove {folder}, make it again"
        )
    if stored.version != stored.facts.version:
        raise CorruptFile(
            f"{path} was changed: it says version {stored.version}, its facts make {stored.facts.version}; remove "
            f"{folder} and make the task again"
        )
    return stored.facts


def digest(pictures: pd.DataFrame) -> str:
    """One hash of all pictures of a folder with their classes and places, wherever the folder lies."""
    return content_hash(pictures[["file", "label", "held_out", "sha256"]].values.tolist())


def images_of(folder: PictureFolder, decoded: Decoded, channels: int) -> RawData:
    """Training and held-out images; their numbers are positions in the folder's pictures."""
    pictures = folder.pictures.drop(index=list(decoded.damaged))
    labels, numbers = torch.tensor(pictures["label"].to_numpy()), torch.tensor(pictures.index.to_numpy())
    held_out = torch.tensor(pictures["held_out"].to_numpy())
    train, test = (
        Images(decoded.images[chosen, :channels].contiguous(), labels[chosen], numbers[chosen])
        for chosen in (~held_out, held_out)
    )
    return RawData(train=train, test=test)


class UserDataset(Dataset):
    """A task of a user's own pictures."""

    version: ClassVar[str] = ""
    facts: ClassVar[Facts]
    home: ClassVar[Path]
    licence = "that of the pictures"
    citation = "none"
    balanced = False

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder or self.home)

    @property
    def built_folder(self) -> Path:
        """Where the whole task lies."""
        return self.home

    def raw(self, root: Path | None) -> RawData:
        """The images of the folder that the task was made of.

        Raises:
            RunMismatch: it holds other pictures now.
        """
        facts = self.facts
        folder = open_folder(root or Path(facts.source), seed=SPLIT_SEED)
        if digest(folder.pictures) != facts.pictures:
            raise RunMismatch(
                f"{folder.path} holds other pictures than {self.key} was made of; put them back, or make another task: "
                "cfbench prepare --from-folder DIR --name NAME"
            )
        decoded = decode(folder, side=facts.image_shape[1], skip_damaged=facts.skipped > 0)
        return images_of(folder, decoded, facts.image_shape[0])


def dataset_class(facts: Facts, folder: Path) -> type[UserDataset]:
    """The data set of the task in ``folder``."""
    members: dict[str, Any] = {
        "__doc__": f"{len(facts.classes)} classes of the user's own pictures, from {facts.source}.",
        "name": facts.name,
        "version": facts.version,
        "title": facts.name,
        "classes": facts.classes,
        "image_shape": facts.image_shape,
        "homepage": facts.source,
        "split_sizes": facts.split_sizes,
        "networks": _networks(facts, folder),
        "remedy": f"make it again: remove {folder}, then cfbench prepare --from-folder {facts.source}",
        "facts": facts,
        "home": folder,
    }
    return type("UserTask", (UserDataset,), members)


def _networks(facts: Facts, folder: Path) -> Mapping[str, NetworkSpec]:
    """A classifier, and judges of other families whose depth goes with the size of the images."""
    channels, side, _ = facts.image_shape
    depth = min(5, max(2, round(math.log2(side)) - 2))
    features = next((width for width in (64, 32, 16, 8) if 10 * width <= facts.split_sizes["test"]), 4)
    shared = {"shift": side // 16, "batch": BATCH}
    zoo = Zoo(channels, len(facts.classes), facts.mean, facts.std, shared, {"weighted": True})
    plain: dict[str, Any] = {"widths": (16, 32, 64, 96, 128)[:depth], "depth": 2}
    residual = (12, 24, 48, 72, 96)[:depth]
    growths = (12, 16, 16, 16)[: depth - 1]
    narrow = (16, 24, 32, 48)[: depth - 1]
    patch = max(2, side // 16)
    epochs = facts.epochs
    usual = zoo.trained("classifier", f"PlainCNN {_dashed(plain['widths'])}", PlainCNN, epochs=epochs, seed=1, **plain)
    return {
        "classifier": usual if facts.classifier is None else _classifier(facts, facts.classifier, usual, folder),
        "distilled": zoo.distilled(usual.description, PlainCNN, epochs=epochs, seed=2, **plain),
        "oracle-1": zoo.trained(
            "oracle", f"ResNet {_dashed(residual)}", ResNet, epochs=epochs, seed=11, widths=residual
        ),
        "oracle-2": zoo.trained(
            "oracle",
            f"ConvMixer 48, depth 4, patch {patch}, kernel 5",
            ConvMixer,
            epochs=epochs,
            seed=12,
            width=48,
            depth=4,
            patch=patch,
            kernel=5,
        ),
        "oracle-3": zoo.trained(
            "oracle",
            f"DenseNet 16, growth {_dashed(growths)}",
            DenseNet,
            epochs=epochs,
            seed=13,
            stem=16,
            growths=growths,
            layers=3,
        ),
        "extractor": zoo.trained(
            "extractor",
            f"MobileNet {_dashed(narrow)}, {features} features",
            MobileNet,
            epochs=epochs,
            seed=21,
            widths=narrow,
            expansion=2,
            features=features,
        ),
        **_in_small_batches(zoo.autoencoders(epochs=epochs, class_epochs=2 * epochs, seed=30)),
    }


def _in_small_batches(autoencoders: Mapping[str, NetworkSpec]) -> dict[str, NetworkSpec]:
    """The same, for classes of few pictures."""
    return {
        name: replace(spec, recipe=replace(cast("AutoencoderRecipe", spec.recipe), batch=BATCH))
        for name, spec in autoencoders.items()
    }


def _dashed(widths: tuple[int, ...]) -> str:
    return "-".join(map(str, widths))


def _classifier(facts: Facts, found: Given, usual: NetworkSpec, folder: Path) -> NetworkSpec:
    """The classifier that was brought: taken as it is, or an architecture trained as usual."""
    channels, side, _ = facts.image_shape
    if found.kind != "timm":
        path = folder / SCRIPT if found.kind == "script" else found.path
        described = f"{found.kind} {Path(found.spec).name}"
        return NetworkSpec("classifier", described, partial(load_given, found, path), GivenRecipe(), seed=0)
    build = partial(
        TimmClassifier,
        name=found.spec,
        side=side,
        channels=channels,
        classes=len(facts.classes),
        mean=facts.mean,
        std=facts.std,
    )
    recipe = ClassifierRecipe(
        epochs=facts.epochs,
        shift=side // 16,
        batch=BATCH,
        rate=1e-3,
        weighted=True,
        start=start_from_timm(found.spec, side=side, channels=channels),
    )
    return NetworkSpec("classifier", f"timm {found.spec}", build, recipe, usual.seed)
