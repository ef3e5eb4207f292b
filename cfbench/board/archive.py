"""Zip archives from strangers, judged by their directory before a byte of their content is read."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from cfbench.errors import CorruptFile
from cfbench.npz import UNREADABLE

_END = struct.Struct("<4sL2H2LH")
_END_MARK, _ZIP64_MARK, _ZIP64_BYTES = b"PK\x05\x06", b"PK\x06\x07", 20

ENTRY = 400
"""Bytes that a member may take in the directory, on average."""

ENCRYPTED = 1


class Refused(CorruptFile):
    """A submission is not what it has to be; the message names the member and what is expected of it."""


@contextmanager
def open_archive(file: IO[bytes], name: str, *, most: int, compressed: bool) -> Iterator[zipfile.ZipFile]:
    """A plain zip archive: one directory, at its very end, without a comment.

    Args:
        file: the archive. name: what messages call it. most: members that it may have.
        compressed: whether members may be deflated; if not, they are as large as they say.

    Raises:
        Refused: it is not such an archive, or has too many members, members of one name, links, folders or encrypted
            members.
    """
    _check_end(file, name, most)
    try:
        archive = zipfile.ZipFile(file)
    except UNREADABLE as error:
        raise Refused(f"{name} is not a readable zip archive ({error}); make it again") from error
    with archive:
        if len(archive.infolist()) > most:
            raise Refused(f"{name} has {len(archive.infolist())} members; expected at most {most}")
        seen: set[str] = set()
        for info in archive.infolist():
            _check_member(info, name, compressed=compressed)
            if info.filename in seen:
                raise Refused(f"{name} holds the member {info.filename!r} twice; expected each name once")
            seen.add(info.filename)
        yield archive


def _check_end(file: IO[bytes], name: str, most: int) -> None:
    """The directory must be short, and just as long as the end of the archive says.

    Python reads the whole directory when it opens an archive, whatever number of members the end of it gives, and looks
    for a second, 64-bit end in front of the end.
    """
    size = file.seek(0, 2)
    file.seek(max(size - _END.size - _ZIP64_BYTES, 0))
    tail = file.read()
    if len(tail) < _END.size or tail[-_END.size :][:4] != _END_MARK:
        raise Refused(f"{name} is not a zip archive, is cut off, or has a comment at its end; make it again")
    _, disks, _, members, length, start, comment = _END.unpack(tail[-_END.size :])
    if members > most or length > most * ENTRY:
        raise Refused(f"{name} has {members} members in a directory of {length} bytes; expected at most {most}")
    if disks or comment or start + length + _END.size != size or tail[: -_END.size].startswith(_ZIP64_MARK):
        raise Refused(f"{name} has more than one archive in it, or parts missing; expected a plain zip archive")


def _check_member(info: zipfile.ZipInfo, name: str, *, compressed: bool) -> None:
    member = info.orig_filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    if not info.filename or info.is_dir() or kind not in (0, stat.S_IFREG):
        found = "a symbolic link" if kind == stat.S_IFLNK else "a folder or special file"
        raise Refused(f"{name} holds {member!r}, {found}; expected plain files")
    if info.flag_bits & ENCRYPTED:
        raise Refused(f"{name} holds {member!r}, which is encrypted; expected plain files")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(f"{name} holds {member!r}, packed by method {info.compress_type}; expected deflate or none")
    if not compressed and (info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size):
        raise Refused(
            f"{name} holds {member!r}, which says that {info.compress_size} bytes unpack to {info.file_size}; expected "
            "members that are stored as they are"
        )
