"""Data sets: frozen splits and networks on disk, described by a manifest and read with verification."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from cfbench.errors import CorruptFile, MissingResource, UnknownName
from cfbench.files import cache_dir, content_hash, read_verified, write_atomic
from cfbench.manifest import FileEntry, Manifest, NetworkEntry, file_entry
from cfbench.objects import Objects
from cfbench.session import Session
from cfbench.split_files import COLUMNS, QUERY_COLUMNS, read_images, read_table
from cfbench.truth import Truth

QUERY_SPLITS = ("test", "validation")
SPLITS = (*QUERY_SPLITS, "reference", "pool")


@dataclass(frozen=True)
class Images:
    """8-bit images ``[N, C, H, W]`` (uint8) and their class labels ``[N]`` (int64).

    ``numbers`` ``[N]`` (int64) are the images' own numbers in the published set; without them, their positions.
    ``attributes`` ``[N, A]`` are 1 where an image has an attribute, 0 where not, or between them for its degree.
    """

    images: Tensor
    labels: Tensor
    numbers: Tensor | None = None
    attributes: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class RawData:
    """A data set as published: its training and its test images.

    Validation queries and reference images are set apart from the test images, unless they are given here. ``extra``
    are training images of another set: networks learn from them too, the pool has none of them.
    """

    train: Images
    test: Images
    validation: Images | None = None
    reference: Images | None = None
    extra: Images | None = None

    @property
    def training(self) -> Images:
        """What networks are trained on."""
        if self.extra is None:
            return self.train
        parts = (self.train, self.extra)
        return Images(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


Networks = Callable[[str], nn.Module]
"""Gives a frozen network of the same data set by its name."""


class Recipe(Protocol):
    """How a network is trained and how its quality is measured.

    ``networks`` gives other frozen networks of the data set, such as the classifier that a copy is distilled from;
    asking for one that is not built raises ``MissingResource``, so list networks after those that they need.
    """

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        """Train ``network`` in place on 8-bit images, the same from the same seed.

        All training goes through ``cfbench.training_loop``, which takes ``session`` and so keeps checkpoints; a recipe
        of several such calls gives each a ``session.part``. What it does between them must follow from the seed.
        """

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        """Named quality figures on held-out images."""


@dataclass(frozen=True)
class NetworkSpec:
    """One frozen network of a data set: its role, architecture, recipe and seed.

    ``role`` is what the harness looks for: ``classifier``, ``oracle``, ``extractor``, ``autoencoder``, or what
    adapters name in their ``needs`` (``vae``, ``loss-estimator``, ...). ``description`` is the architecture in words.
    """

    role: str
    description: str
    build: Callable[[], nn.Module]
    recipe: Recipe
    seed: int
    half: bool = False
    """Whether weights are stored in 16 bits; quality is measured on what is stored."""


class Dataset(ABC):
    """A data set in its folder: subclass it, declare the facts, implement :meth:`raw`.

    The packaged files lie beside the module of the subclass: ``manifest.json``, ``splits/<split>.csv`` and
    ``.npz``, ``networks/<name>.safetensors``. Nothing is read before its sha256 has been checked.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    title: ClassVar[str]
    classes: ClassVar[tuple[str, ...]]
    image_shape: ClassVar[tuple[int, int, int]]
    licence: ClassVar[str]
    citation: ClassVar[str]
    homepage: ClassVar[str]
    split_sizes: ClassVar[Mapping[str, int]]
    networks: ClassVar[Mapping[str, NetworkSpec]]
    attributes: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes that networks of roles ``attributes`` and ``attribute-oracle`` judge."""
    target_attributes: ClassVar[tuple[str, ...]] = ()
    """The attributes that define the classes."""
    balanced: ClassVar[bool] = True
    """Whether a split has equally many images of each class; if not, as equally many as there are."""
    remedy: ClassVar[str] = "reinstall cfbench-vision"
    """What to do when a packaged file is missing or damaged."""
    shareable: ClassVar[bool] = True
    """Whether its pictures may be published, as in a contact sheet."""
    truth: ClassVar[Truth | None] = None
    """The renderer of a synthetic data set, by which factors of images are read and set."""
    objects: ClassVar[Objects | None] = None
    """Finds the object in images, see :mod:`cfbench.objects`; None where no rule is good enough."""
    subfolder: ClassVar[str] = ""
    """Where the packaged files lie below the folder of the module, for modules that define several data sets."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(inspect.getfile(type(self))).parent / self.subfolder

    @abstractmethod
    def raw(self, root: Path | None) -> RawData:
        """The published images, from ``root``, a usual place on this system, or a download.

        Raises:
            MissingResource: they are nowhere and cannot be downloaded; says how to get them.
        """

    @property
    def key(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest in this folder.

        Raises:
            MissingResource: there is none yet.
            CorruptFile: it is not a valid manifest of this version.
        """
        manifest = self._manifest_in(self.folder)
        if manifest is None:
            raise MissingResource(
                f"{self.folder / 'manifest.json'} is missing; build it with: cfbench prepare {self.name} --train "
                f"--splits --out {self.folder}"
            )
        return manifest

    @property
    def built_folder(self) -> Path:
        """Where ``cfbench prepare`` puts networks that are not packaged: in the user's cache."""
        return cache_dir() / self.key

    @cached_property
    def _built(self) -> Manifest:
        return self._manifest_in(self.built_folder) or Manifest(version=self.version)

    def _manifest_in(self, folder: Path) -> Manifest | None:
        path = folder / "manifest.json"
        if not path.is_file():
            return None
        try:
            manifest = Manifest.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise CorruptFile(f"{path} is not a valid manifest: {error.errors()[0]['msg']}; build it again") from error
        if manifest.version != self.version:
            raise CorruptFile(f"{path} is of version {manifest.version}, expected {self.version}; build it again")
        return manifest

    @cached_property
    def split_hash(self) -> str:
        """One hash of all split files."""
        return content_hash({name: entry.sha256 for name, entry in self.manifest.splits.items()})

    def verify(self, entry: FileEntry) -> bytes:
        """The bytes of a packaged file, after its sha256 has been checked.

        Raises:
            MissingResource: it is not there. CorruptFile: it is corrupt or truncated.
        """
        packaged = entry in self.manifest.splits.values() or entry in self.manifest.networks.values()
        remedy = self.remedy if packaged else f"run: cfbench prepare {self.name} --train"
        folder = self.folder if packaged else self.built_folder
        return read_verified(folder / entry.file, sha256=entry.sha256, remedy=remedy)

    def _split_file(self, name: str) -> bytes:
        if name not in self.manifest.splits:
            raise MissingResource(
                f"{self.key} has no {name}; run: cfbench prepare {self.name} --splits --out {self.folder}"
            )
        return self.verify(self.manifest.splits[name])

    def table(self, split: str) -> pd.DataFrame:
        """Rows of a split: ``image_id``, ``raw_index``, ``label``; query splits add ``source``, ``near``, ``any``.

        Data sets with a ``truth`` add its factors.

        Raises:
            MissingResource: there is no such split. CorruptFile: it is damaged, or no such table.
        """
        name, columns = f"{split}.csv", QUERY_COLUMNS if split in QUERY_SPLITS else COLUMNS
        return read_table(self._split_file(name), name, columns=columns, classes=len(self.classes))

    def split(self, split: str) -> Images:
        """8-bit images and labels of a split, in the order of :meth:`table`."""
        table = self.table(split)
        return Images(self.split_images(split), torch.from_numpy(table["label"].to_numpy().copy()))

    def split_images(self, split: str) -> Tensor:
        """8-bit images of a split ``[N, C, H, W]``: here, those packaged in ``splits/<split>.npz``."""
        name = f"{split}.npz"
        return read_images(self._split_file(name), name, count=len(self.table(split)), shape=self.image_shape)

    def write_images(self, folder: Path, parts: Mapping[str, Tensor]) -> dict[str, FileEntry]:
        """Write the images of each split below ``folder``, where :meth:`split_images` finds them; the files by name."""
        entries = {}
        for split, images in parts.items():
            file = f"splits/{split}.npz"
            write_atomic(folder / file, partial(np.savez_compressed, images=images.numpy()))
            entries[f"{split}.npz"] = file_entry(folder, file)
        return entries

    def absent(self) -> str | None:
        """What to do for images that the user has to bring and has not yet; None when all are here."""
        return None

    def install(self, root: Path | None) -> list[str]:
        """Take what may not be packaged from the user's folder; a line on each file. Here, nothing."""
        return []

    def names(self, role: str) -> list[str]:
        """Names of the networks that play ``role``, sorted."""
        return sorted(name for name, spec in self.networks.items() if spec.role == role)

    def built(self) -> list[str]:
        """Names of the networks that are packaged, or were built here."""
        return [name for name in self.networks if name in self.manifest.networks or name in self._built.networks]

    def entry(self, name: str) -> NetworkEntry:
        """Manifest entry of a network: the packaged one, or one that ``cfbench prepare`` built here.

        Raises:
            UnknownName: the data set defines no such network.
            MissingResource: it is defined but not built; says which command builds it.
        """
        if name not in self.networks:
            raise UnknownName(f"{self.key} has no network {name!r}; it has {', '.join(self.networks)}")
        entry = self.manifest.networks.get(name) or self._built.networks.get(name)
        if entry is None:
            raise MissingResource(
                f"network {name!r} of {self.key} is not built; run: cfbench prepare {self.name} --train --only {name}"
            )
        return entry

    def network(self, name: str) -> nn.Module:
        """The frozen network ``name``: verified, in evaluation mode, without gradients on its weights."""
        from safetensors.torch import load

        state: dict[str, Any] = load(self.verify(self.entry(name)))
        with torch.random.fork_rng(devices=[]):
            network = self.networks[name].build()
        network.load_state_dict({key: value.float() for key, value in state.items()})
        return network.to(memory_format=torch.channels_last).eval().requires_grad_(False)
