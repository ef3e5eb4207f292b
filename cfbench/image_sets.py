"""Sets of images made elsewhere: npz files and folders of PNGs, checked and read a batch at a time."""

from __future__ import annotations

import hashlib
import math
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cfbench.errors import CorruptFile, InvalidParameter, MissingResource
from cfbench.files import sha256_file
from cfbench.images import GRAY_MODES, open_picture, quantise, read_image
from cfbench.npz import UNREADABLE, read_header

COLUMNS = ("targets", "labels", "predictions", "failed")
"""Arrays beside the images of an npz file that are read: a number an image."""


@dataclass(frozen=True)
class ImageSet(ABC):
    """Images of one shape in order, with names and what is known of each.

    Attributes:
        path: file or folder. names: one an image. shape: (C, H, W). sha256: of all that is read.
        columns: arrays ``[N]`` such as ``targets``.
    """

    path: Path
    names: list[str]
    shape: tuple[int, int, int]
    sha256: str
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def batches(self, size: int) -> Iterator[Tensor]:
        """All images in order as 8-bit batches ``[B, C, H, W]``; float ones are rounded to 8 bits.

        Raises:
            InvalidParameter: values outside [0, 1] or not finite. CorruptFile: a file is damaged.
        """


def open_images(path: Path) -> ImageSet:
    """The images of an npz file, or of the PNG files of a folder, in the order of their names.

    Raises:
        MissingResource: nothing is there. InvalidParameter: neither; holds objects; not a set of images.
        CorruptFile: damaged.
    """
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise MissingResource(f"{path} is missing; give an npz file or a folder of PNG files")
    if path.suffix != ".npz":
        raise InvalidParameter(f"{path} is neither an npz file nor a folder; save the images with numpy.savez")
    return _open_npz(path)


@dataclass(frozen=True)
class _Folder(ImageSet):
    def batches(self, size: int) -> Iterator[Tensor]:
        for start in range(0, len(self), size):
            names = self.names[start : start + size]
            yield torch.stack([_read_exact(self.path / f"{name}.png", self.shape) for name in names])


def _open_folder(path: Path) -> ImageSet:
    files = sorted(path.glob("*.png"))
    if not files:
        raise MissingResource(f"{path} has no PNG files; save one an image, under the name of its query")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {sha256_file(file)}\n".encode())
    with open_picture(files[0], remedy="save it again") as first:
        shape = (_channels(first.mode), first.height, first.width)
    return _Folder(path, [file.stem for file in files], shape, digest.hexdigest())


def _read_exact(path: Path, shape: tuple[int, int, int]) -> Tensor:
    channels, height, width = shape
    image = read_image(path, shape=shape)
    with open_picture(path) as picture:
        if (picture.size, _channels(picture.mode)) != ((width, height), channels):
            found = f"{picture.width} x {picture.height} pixels, mode {picture.mode}"
            raise InvalidParameter(
                f"{path} has {found}, others {width} x {height} and {channels} channels; save all at one size and mode"
            )
    return image


def _channels(mode: str) -> int:
    """Channels of pictures of a mode of Pillow: gray or colour."""
    return 1 if mode in GRAY_MODES else 3


@dataclass(frozen=True)
class _Npz(ImageSet):
    member: str = "images.npy"
    layout: str = "NCHW"
    dtype: str = "uint8"

    def batches(self, size: int) -> Iterator[Tensor]:
        channels, height, width = self.shape
        stored = (height, width, channels) if self.layout == "NHWC" else self.shape
        row = math.prod(stored) * np.dtype(self.dtype).itemsize
        with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
            read_header(stream, self.path, self.member)
            for start in range(0, len(self), size):
                count = min(size, len(self) - start)
                try:
                    data = stream.read(count * row)
                except UNREADABLE as error:
                    raise CorruptFile(f"{self.path} is damaged: {error}; save it again") from error
                if len(data) != count * row:
                    raise CorruptFile(f"{self.path} is truncated in array {self.member}; save it again")
                values = np.frombuffer(data, dtype=self.dtype).reshape(count, *stored)
                yield self._eight_bit(values.transpose(0, 3, 1, 2) if self.layout == "NHWC" else values)

    def _eight_bit(self, values: NDArray[Any]) -> Tensor:
        if values.dtype == np.uint8:
            return torch.from_numpy(values.copy())
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):
            raise InvalidParameter(
                f"{self.path} holds {values.dtype} images that span [{low:.4g}, {high:.4g}]; expected 8-bit images, or "
                "finite floats in [0, 1]"
            )
        return quantise(torch.from_numpy(values.astype(np.float32)))


def _open_npz(path: Path) -> ImageSet:
    arrays: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
    entries: dict[str, str] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.namelist():
                with archive.open(entry) as stream:
                    member = entry.removesuffix(".npy")
                    shape, dtype = arrays[member] = read_header(stream, path, member)
                    entries[member] = entry
                    if archive.getinfo(entry).file_size < stream.tell() + math.prod(shape) * dtype.itemsize:
                        raise CorruptFile(f"{path} is truncated in array {member} {list(shape)}; save it again")
    except UNREADABLE as error:
        raise CorruptFile(f"{path} is not a readable npz file ({error}); save it with numpy.savez") from error
    sets = [member for member, (shape, _) in arrays.items() if len(shape) >= 3]
    member = "images" if "images" in arrays else sets[0] if len(sets) == 1 else ""
    if not member:
        held = ", ".join(f"{name} {list(shape)}" for name, (shape, _) in arrays.items()) or "nothing"
        raise InvalidParameter(f"{path} has no array called images; it holds {held}")
    shape, dtype = arrays[member]
    layout, image_shape = _layout(path, shape)
    if dtype != np.uint8 and dtype.kind != "f":
        raise InvalidParameter(f"{path} holds {dtype} images; expected 8-bit images (uint8), or floats in [0, 1]")
    columns = {name: _column(path, name, *arrays[name], count=shape[0]) for name in COLUMNS if name in arrays}
    names = [f"{index:06d}" for index in range(shape[0])]
    return _Npz(path, names, image_shape, sha256_file(path), columns, entries[member], layout, dtype.str)


def _column(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], *, count: int) -> NDArray[Any]:
    """An array of numbers or flags, one an image."""
    if shape != (count,):
        raise InvalidParameter(f"{path} holds {name} of shape {list(shape)}; expected [{count}], one an image")
    if dtype.kind not in "biuf":
        raise InvalidParameter(f"{path} holds {name} of type {dtype}; expected numbers")
    try:
        with np.load(path, allow_pickle=False) as loaded:
            values: NDArray[Any] = loaded[name]
    except UNREADABLE as error:
        raise CorruptFile(f"{path} is damaged in array {name}: {error}; save it again") from error
    return values


def _layout(path: Path, shape: tuple[int, ...]) -> tuple[str, tuple[int, int, int]]:
    """Order of the dimensions of an array of images, and (C, H, W)."""
    match shape if all(shape) else ():
        case (_, height, width):
            return "NCHW", (1, height, width)
        case (_, 1 | 3 as channels, height, width):
            return "NCHW", (channels, height, width)
        case (_, height, width, 1 | 3 as channels):
            return "NHWC", (channels, height, width)
    raise InvalidParameter(
        f"{path} holds images of shape {list(shape)}; expected [N, H, W], [N, C, H, W] or [N, H, W, C] with 1 or 3 "
        "channels and at least one image"
    )
