"""Arrays in npz files: what they are is read before their data."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, cast

import numpy as np

from cfbench.errors import CorruptFile, InvalidParameter

UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError, ValueError)
"""What reading a damaged or encrypted archive raises."""

NO_HEADER = (ValueError, TypeError, SyntaxError, TokenError, RecursionError, MemoryError)
"""What numpy raises at a header, which is a Python literal."""


def read_header(stream: IO[bytes], path: Path | str, member: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array of ``path``; leaves ``stream`` behind its header, before any of its data is read.

    Raises:
        CorruptFile: it is no array. InvalidParameter: it holds objects, or is in column order.
    """
    file = cast("zipfile.ZipExtFile", stream)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, column_major, dtype = read(file)
    except NO_HEADER as error:
        raise CorruptFile(f"{path} is damaged in array {member}: {error}; save it again") from error
    if min(shape, default=0) < 0:
        raise CorruptFile(f"{path} is damaged in array {member}: its shape is {list(shape)}; save it again")
    if dtype.hasobject:
        raise InvalidParameter(
            f"{path} holds Python objects in array {member}, which are never unpickled; save numbers"
        )
    if column_major and len(shape) > 1:
        raise InvalidParameter(f"{path} holds array {member} in column order; save numpy.ascontiguousarray of it")
    return shape, dtype
