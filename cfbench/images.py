"""8-bit images: quantising, reading picture files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cfbench.errors import CorruptFile, MissingResource

MAX_PIXELS = 64_000_000
"""Largest picture that is decoded; larger ones are refused before decoding."""


def quantise(images: Tensor) -> Tensor:
    """Round [0, 1] images to 8 bits (uint8, same shape)."""
    return images.clamp(0, 1).mul(255).round().to(torch.uint8)


def dequantise(images: Tensor) -> Tensor:
    """8-bit images (uint8) as float32 in [0, 1]."""
    return images.to(torch.float32).div(255)


def read_image(path: Path, *, shape: tuple[int, int, int]) -> Tensor:
    """Read a picture as an 8-bit image of ``shape`` (C, H, W): gray for C = 1, RGB for C = 3.

    A picture of another size is scaled to it by an antialiased bicubic filter.

    Raises:
        MissingResource: there is no such file.
        CorruptFile: it is not a picture, is truncated, or has more than 64 million pixels.
    """
    from PIL import Image, UnidentifiedImageError

    channels, height, width = shape
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise CorruptFile(f"{path} has {picture.width} x {picture.height} pixels, at most 64 million are read")
            if picture.mode[0] in "IF":
                raise CorruptFile(f"{path} has more than 8 bits a pixel (mode {picture.mode}); save it with 8 bits")
            converted = picture.convert("L" if channels == 1 else "RGB")
    except FileNotFoundError:
        raise MissingResource(f"{path} is missing; give the path of a PNG or JPEG file") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise CorruptFile(f"{path} is not a readable picture ({error}); give a PNG or JPEG file") from error
    if converted.size != (width, height):
        converted = converted.resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(converted, dtype=np.uint8).reshape(height, width, channels)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())
