"""Arrays and archives of arrays of every type and shape, with odd headers, or damaged."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import numpy as np
from bundles import npy
from fuzzing import damaged
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn


def npz(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


DTYPES = ("u1", "f8", ">f8", "f4", "i8", "U3", "U0", "S3", "?", "c16", "M8[s]", "V4", "u1,f4", "f2", "O")

HEADERS = (
    "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 1, 3, 4), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-4,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,), }",
    "{'descr': '<f8', 'fortran_order': True, 'shape': (4L,), }",
    "{'descr': ('<f8', (2, 2)), 'fortran_order': False, 'shape': (4,), }",
    "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (4,), }",
    "(" * 300 + ")" * 300,
    "{'descr': '<f8', 'fortran_order': False, 'shape': (4,)",
    "[" * 4000,
)
"""Beginnings of npy files that numpy's reader meets with errors of many kinds."""


@st.composite
def arrays(draw: DrawFn) -> bytes:
    """An npy file of any type and shape, one with an odd header, or damaged bytes."""
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=5)))
    if draw(st.integers(0, 2)) == 0:
        header = draw(st.sampled_from(HEADERS) | st.text(st.characters(codec="latin1"), max_size=40)).encode("latin1")
        version = draw(st.sampled_from([b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09"]))
        length = len(header).to_bytes(2 if version == b"\x01\x00" else 4, "little")
        return b"\x93NUMPY" + version + length + header + bytes(48)
    made = npy(np.zeros(shape, draw(st.sampled_from(DTYPES))))
    return draw(damaged(made)) if draw(st.booleans()) else made


PACKINGS = [*[zipfile.ZIP_DEFLATED] * 3, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@st.composite
def archives(draw: DrawFn, whole: bytes, more: Sequence[str]) -> bytes:
    """An npz file with arrays exchanged, put in (``more``) or taken out, packed in any way, or damaged."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    names = sorted(members)
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from([*names, *more]))
        members[name] = draw(damaged(members[name])) if name in members and draw(st.booleans()) else draw(arrays())
    if draw(st.integers(0, 4)) == 0:
        members.pop(draw(st.sampled_from(sorted(members))))
    buffer = io.BytesIO()
    packing = draw(st.sampled_from(PACKINGS))
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, packing)
    made = buffer.getvalue()
    return draw(damaged(made)) if draw(st.booleans()) else made
