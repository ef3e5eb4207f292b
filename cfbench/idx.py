"""The IDX format of MNIST and its relatives (http://yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cfbench.errors import CorruptFile, MissingResource
from cfbench.files import sha256_bytes


def read_idx(folders: list[Path], name: str, *, sha256: str) -> NDArray[np.uint8]:
    """Read ``name`` or ``name.gz`` from the first folder that has it, as unsigned bytes.

    Args:
        sha256: hash of the *uncompressed* content, so that any recompression is accepted.

    Raises:
        MissingResource: no folder has the file.
        CorruptFile: the content is not the expected one.
    """
    for path in (folder / f"{name}{suffix}" for folder in folders for suffix in ("", ".gz")):
        if path.is_file():
            break
    else:
        raise MissingResource(f"{name}[.gz] not found in {', '.join(map(str, folders))}")
    try:
        data = path.read_bytes() if path.suffix != ".gz" else gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptFile(f"{path} is not a readable gzip file ({error}); get it again") from error
    found = sha256_bytes(data)
    if found != sha256:
        raise CorruptFile(f"{path}: sha256 of the content is {found}, expected {sha256}; get the file again")
    shape = np.frombuffer(data, dtype=">u4", count=data[3], offset=4)
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * data[3]).reshape([int(side) for side in shape])
