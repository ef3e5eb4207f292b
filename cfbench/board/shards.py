"""Shards from strangers: form and size of every array are known before its data is read."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from io import BytesIO
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cfbench.board.archive import Refused, open_archive
from cfbench.errors import CfbenchError
from cfbench.npz import UNREADABLE, read_header
from cfbench.store import COLUMN, Shard
from cfbench.strict_json import LONGEST, read_json

MOST_COLUMNS = 50
"""Figures that a method may log a query."""

MOST_FURTHER = 64
"""Further counterfactuals that a method may hand in a query."""

ARRAY = re.compile(rf"(images|further|errors|facts|{COLUMN}[A-Za-z0-9_]{{1,60}})\.npy")
CHARACTER = 4
"""Bytes of a character in an array of text."""


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Session(_Facts):
    setup_seconds: float = Field(ge=0)
    setup_forwards: int = Field(ge=0)
    peak_mb: float | None = Field(ge=0)
    device: str = Field(pattern=r"^[a-z]{1,20}(:[0-9]{1,3})?$")


class _ShardFacts(_Facts):
    first: int = Field(ge=0)
    seconds: float = Field(ge=0)
    forwards: int = Field(ge=0)
    backwards: int = Field(ge=0)
    generated: int = Field(ge=0)
    session: _Session


def read_shard(data: bytes, name: str, *, positions: range, image_shape: tuple[int, int, int]) -> Shard:
    """The shard in the bytes of the file ``name``.

    Args:
        positions: the queries that its name promises. image_shape: (C, H, W) of the task.

    Raises:
        Refused: it is not a shard of 8-bit images of these queries; names what was found and what is expected.
    """
    try:
        with open_archive(BytesIO(data), name, most=MOST_COLUMNS + 4, compressed=True) as archive:
            for member in archive.namelist():
                _check_array(archive, name, member, count=len(positions), image_shape=image_shape)
            _check_text(archive, name, "errors.npy")
            _check_facts(name, _check_text(archive, name, "facts.npy"), positions)
        shard = Shard.from_bytes(data)
        "".join(shard.errors).encode()
    except CfbenchError as error:
        raise error if isinstance(error, Refused) else Refused(str(error)) from error
    except (*UNREADABLE, KeyError) as error:
        raise Refused(f"{name} is damaged or not a shard ({error}); submit the run again") from error
    return shard


def _check_array(archive: ZipFile, name: str, member: str, *, count: int, image_shape: tuple[int, int, int]) -> None:
    """An array must be of the form that its name asks for, and exactly as many bytes as that takes."""
    if not ARRAY.fullmatch(member):
        raise Refused(f"{name} holds {member!r}; expected images, further, errors, facts and columns of figures")
    with archive.open(member) as stream:
        shape, dtype = read_header(stream, name, member)
        header = stream.tell()
    further = min(max(shape[1], 1), MOST_FURTHER) if len(shape) == 1 + 1 + len(image_shape) else 1
    expected = _forms(count, further, image_shape).get(member, ((count,), "f8"))
    text = dtype.kind == "U" and dtype.itemsize <= CHARACTER * LONGEST
    if shape != expected[0] or not (text if expected[1] == "U" else dtype == np.dtype(expected[1])):
        wanted = f"text of at most {LONGEST} characters" if expected[1] == "U" else str(np.dtype(expected[1]))
        raise Refused(
            f"{name} holds {member.removesuffix('.npy')} of type {dtype} and shape {list(shape)}; expected {wanted} "
            f"and {list(expected[0])}"
        )
    if not dtype.isnative:
        raise Refused(f"{name} holds {member!r} of type {dtype}; expected the order of bytes of this machine")
    size = header + math.prod(shape) * dtype.itemsize
    if archive.getinfo(member).file_size != size:
        raise Refused(
            f"{name} holds {member!r} of {archive.getinfo(member).file_size} bytes; expected {size}, as its form says"
        )


def _forms(count: int, further: int, image_shape: tuple[int, int, int]) -> Mapping[str, tuple[tuple[int, ...], str]]:
    return {
        "images.npy": ((count, *image_shape), "u1"),
        "further.npy": ((count, further, *image_shape), "u1"),
        "errors.npy": ((count,), "U"),
        "facts.npy": ((), "U"),
    }


def _check_text(archive: ZipFile, name: str, member: str) -> NDArray[np.str_]:
    """An array of text, whose codes must be Unicode: numpy does not look at them, and Python fails at others."""
    with archive.open(member) as stream:
        text = np.lib.format.read_array(stream, allow_pickle=False)
    if np.frombuffer(text.tobytes(), np.uint32).max(initial=0) > sys.maxunicode:
        raise Refused(f"{name} holds {member!r} with codes that are no Unicode; expected text")
    return np.asarray(text)


def _check_facts(name: str, text: NDArray[np.str_], positions: range) -> None:
    try:
        facts = _ShardFacts.model_validate(read_json(str(text).encode(), f"{name}, facts"))
    except ValidationError as error:
        first = error.errors()[0]
        raise Refused(
            f"{name} holds facts whose {'.'.join(map(str, first['loc']))} is wrong: {first['msg']}"
        ) from error
    if facts.first != positions.start:
        raise Refused(f"{name} says that its first query is {facts.first}; expected {positions.start}, as in its name")
