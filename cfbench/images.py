"""8-bit images: quantising, reading picture files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cfbench.errors import CfbenchError, CorruptFile, MissingResource

if TYPE_CHECKING:
    import PIL.Image

MAX_PIXELS = 64_000_000
"""Largest picture that is decoded; larger ones are refused before decoding."""

GRAY_MODES = ("1", "L", "LA")
"""Pillow's modes of pictures without colour."""


def quantise(images: Tensor) -> Tensor:
    """Round [0, 1] images to 8 bits (uint8, same shape)."""
    return images.clamp(0, 1).mul(255).round().to(torch.uint8)


def dequantise(images: Tensor) -> Tensor:
    """8-bit images (uint8) as float32 in [0, 1]."""
    return images.to(torch.float32).div(255)


@contextmanager
def open_picture(path: Path, *, remedy: str = "give a PNG or JPEG file") -> Iterator[PIL.Image.Image]:
    """A picture file, open while its pixels are read and converted.

    Pillow's readers raise whatever they stumble over in a damaged file, so that everything raised in here counts as
    that, errors of cfbench aside.

    Raises:
        MissingResource: there is no such file.
        CorruptFile: it is not a picture, is damaged, has more than 8 bits a channel or more than 64 million pixels;
            ends with ``remedy``.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise CorruptFile(f"{path} has {picture.width} x {picture.height} pixels, at most 64 million are read")
            if picture.mode[0] in "IF":
                raise CorruptFile(f"{path} has more than 8 bits a pixel (mode {picture.mode}); save it with 8 bits")
            yield picture
    except FileNotFoundError:
        raise MissingResource(f"{path} is missing; give the path of a PNG or JPEG file") from None
    except CfbenchError:
        raise
    except Exception as error:
        raise CorruptFile(f"{path} is not a readable picture ({error}); {remedy}") from error


def read_image(path: Path, *, shape: tuple[int, int, int]) -> Tensor:
    """Read a picture as an 8-bit image of ``shape`` (C, H, W): gray for C = 1, RGB for C = 3.

    A picture of another size is scaled to it by an antialiased bicubic filter. Raises as :func:`open_picture` does.
    """
    from PIL import Image

    channels, height, width = shape
    with open_picture(path) as picture:
        converted = picture.convert("L" if channels == 1 else "RGB")
    if converted.size != (width, height):
        converted = converted.resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(converted, dtype=np.uint8).reshape(height, width, channels)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())
