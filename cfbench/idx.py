"""The IDX format of MNIST and its relatives (http://yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cfbench.dataset import Images, RawData
from cfbench.download import fetch
from cfbench.errors import CorruptFile, MissingResource
from cfbench.files import cache_dir, sha256_bytes


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


def read_idx_pairs(folders: list[Path], hashes: Mapping[str, str]) -> RawData:
    """Training and test images with their labels, from the four files of an MNIST-like data set.

    Args:
        hashes: sha256 of the uncompressed content of ``{train,t10k}-{images-idx3,labels-idx1}-ubyte``.
    """
    arrays = {name: torch.from_numpy(read_idx(folders, name, sha256=sha256).copy()) for name, sha256 in hashes.items()}
    train, test = (
        Images(arrays[f"{part}-images-idx3-ubyte"][:, None], arrays[f"{part}-labels-idx1-ubyte"].long())
        for part in ("train", "t10k")
    )
    return RawData(train=train, test=test)


def published_pairs(
    name: str, hashes: Mapping[str, str], folders: list[Path], *, source: str, advice: str = ""
) -> RawData:
    """An MNIST-like data set: from ``folders``, the cache, or a download of its four files into the cache.

    Args:
        name: of the folder in the cache. hashes: as of :func:`read_idx_pairs`.
        source: address below which the publisher's ``*.gz`` files are.

    Raises:
        MissingResource: it is nowhere and cannot be downloaded; ends with ``advice``, if any.
    """
    cached = cache_dir() / name / "raw"
    try:
        return read_idx_pairs([*folders, cached], hashes)
    except MissingResource:
        try:
            for file, sha256 in hashes.items():
                fetch(f"{source}/{file}.gz", cached / f"{file}.gz", sha256=sha256, packed=True)
        except MissingResource as error:
            raise MissingResource(
                f"the {name} files are not here, and {error}; or give the folder of the four *-ubyte[.gz] files with "
                f"--data or $CFBENCH_DATA{advice}"
            ) from error
        return read_idx_pairs([cached], hashes)
