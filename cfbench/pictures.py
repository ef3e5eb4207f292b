"""Many small pictures in one file: JPEG streams end to end in a numpy archive, read without unpickling."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cfbench.errors import CorruptFile, MissingResource
from cfbench.images import GRAY_MODES, open_picture

QUALITY = 92


def write_jpegs(path: Path, images: Tensor, **columns: np.ndarray) -> None:
    """Write 8-bit RGB images ``[N, 3, H, W]`` as JPEG of full chroma, with arrays of N rows beside them."""
    from PIL import Image

    streams = []
    for image in images:
        buffer = BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
        streams.append(buffer.getvalue())
    ends = np.cumsum([len(stream) for stream in streams])
    with path.open("wb") as file:
        np.savez(file, data=np.frombuffer(b"".join(streams), np.uint8), ends=ends, **columns)  # type: ignore[arg-type]


def read_jpegs(data: bytes) -> tuple[Tensor, dict[str, np.ndarray]]:
    """Images ``[N, 3, H, W]`` (uint8) and the arrays beside them, of the bytes that :func:`write_jpegs` wrote.

    Raises:
        CorruptFile: it is no such archive, or a picture in it cannot be decoded; names its position.
    """
    from PIL import Image

    try:
        with np.load(BytesIO(data), allow_pickle=False) as archive:
            columns = {name: archive[name] for name in archive.files}
        streams, ends = columns.pop("data").tobytes(), columns.pop("ends")
    except (ValueError, KeyError, OSError) as error:
        raise CorruptFile(f"not an archive of pictures ({error}); get the file again") from error
    pictures: list[np.ndarray] = []
    for position, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        try:
            with Image.open(BytesIO(streams[start:end])) as picture:
                pictures.append(np.asarray(picture.convert("RGB")))
        except (OSError, SyntaxError) as error:
            raise CorruptFile(f"picture {position} cannot be decoded ({error}); get the file again") from error
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(), columns


def read_pictures(paths: Sequence[Path], *, side: int, crop: int | None = None) -> Tensor:
    """RGB pictures of files, as 8-bit images ``[N, 3, side, side]`` by an antialiased bicubic filter.

    Args:
        crop: side of the square in the middle that is kept; by default the picture's shorter side.

    Raises:
        MissingResource: files are missing; says how many and names the first.
        CorruptFile: one is not a readable picture; names it.
    """
    absent = [path for path in paths if not path.is_file()]
    if absent:
        raise MissingResource(f"{len(absent)} of {len(paths)} pictures are missing, such as {absent[0]}")
    images = np.empty((len(paths), side, side, 3), np.uint8)
    for index, path in enumerate(paths):
        images[index], _ = read_square(path, side=side, crop=crop)
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def read_square(path: Path, *, side: int, crop: int | None = None) -> tuple[np.ndarray, bool]:
    """One picture as :func:`read_pictures` reads it, uint8 ``[side, side, 3]``, and whether it is in colour.

    Raises as :func:`cfbench.images.open_picture` does.
    """
    from PIL import Image

    with open_picture(path, remedy="get it again") as picture:
        kept = crop or min(picture.size)
        left, top = (picture.width - kept) // 2, (picture.height - kept) // 2
        square = picture.convert("RGB").crop((left, top, left + kept, top + kept))
        pixels = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC))
        return pixels, picture.mode not in GRAY_MODES
