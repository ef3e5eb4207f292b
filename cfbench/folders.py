"""Data sets whose images may not be shipped: splits name them, the user's own copy is packed once into the cache."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cfbench.dataset import SPLITS, Dataset
from cfbench.errors import MissingResource
from cfbench.files import content_hash, read_verified, write_atomic
from cfbench.manifest import FileEntry, file_entry


class FolderDataset(Dataset):
    """A data set that reads the pictures of each split from the user's folder.

    ``cfbench prepare NAME --data DIR`` decodes them into ``splits/<split>.npy`` in the cache. The manifest pins the
    hash of the pack that the frozen networks were measured on. A copy of the set at another resolution or compression
    gives another pack: it is used, and its hash is part of the hash of the splits, so that records made with it are
    never ranked beside the others.
    """

    shareable = False

    @abstractmethod
    def pictures(self, root: Path | None, numbers: list[int]) -> Tensor:
        """8-bit images of the published numbers ``[N, C, H, W]``, from the user's folder.

        Raises:
            MissingResource: pictures are missing; says which, and how to get them.
        """

    def split_images(self, split: str) -> Tensor:
        data = self.verify(self._pack(split))
        return torch.from_numpy(np.load(BytesIO(data), allow_pickle=False))

    def absent(self) -> str | None:
        if all(f"{split}.npy" in self._built.splits for split in SPLITS):
            return None
        return (
            f"the images of {self.key} may not be shipped ({self.licence}): get them from {self.homepage}, "
            f"then run: cfbench prepare {self.name} --data DIR"
        )

    def _pack(self, split: str) -> FileEntry:
        try:
            return self._built.splits[f"{split}.npy"]
        except KeyError:
            raise MissingResource(self.absent() or "") from None

    def verify(self, entry: FileEntry) -> bytes:
        if not entry.file.endswith(".npy"):
            return super().verify(entry)
        pack = self._pack(Path(entry.file).stem)
        remedy = f"run: cfbench prepare {self.name} --data DIR"
        return read_verified(self.built_folder / pack.file, sha256=pack.sha256, remedy=remedy)

    @cached_property
    def split_hash(self) -> str:
        """One hash of all split files, with the packs that are used here."""
        used = self.manifest.splits | self._built.splits
        return content_hash({name: entry.sha256 for name, entry in used.items()})

    def write_images(self, folder: Path, parts: Mapping[str, Tensor]) -> dict[str, FileEntry]:
        """Write the pack of each split into the cache; its entries pin their hashes."""
        entries = {}
        for split, images in parts.items():
            file = f"splits/{split}.npy"
            write_atomic(self.built_folder / file, partial(_save, images.numpy()))
            entries[f"{split}.npy"] = file_entry(self.built_folder, file)
        built = self._built.model_copy(update={"splits": self._built.splits | entries})
        built.write(self.built_folder)
        self.__dict__.pop("_built", None)
        return entries

    def install(self, root: Path | None) -> list[str]:
        """Pack the pictures of each split from the user's folder, unless that was done; a line on each pack."""
        lines = []
        for split in SPLITS:
            name = f"{split}.npy"
            if root is not None or name not in self._built.splits:
                numbers = self.table(split)["raw_index"].tolist()
                self.write_images(self.folder, {split: self.pictures(root, numbers)})
            same = self._built.splits[name].sha256 == self.manifest.splits[name].sha256
            lines.append(
                f"{name}: {'identical to the pinned pack' if same else 'other pixels than the pinned pack'}"
                + ("" if same else " (another copy of the pictures): its records are kept apart")
            )
        return lines


def _save(images: np.ndarray, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, images, allow_pickle=False)
