"""Zip files that attack the verifier are refused by their directory, before a member is read."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import forged, members_of, refusal, with_member
from PIL import Image

from cfbench.board.archive import Refused
from cfbench.board.bundle import MANIFEST
from cfbench.board.card import FILE as CARD
from cfbench.board.verify import verify
from cfbench.record import FILE, TABLE
from cfbench.testing import Toy


def rezipped(bundle: Path, out: Path, change: Callable[[zipfile.ZipFile, dict[str, bytes]], None]) -> Path:
    """A zip file that ``change`` writes, which is handed the members of a bundle."""
    with zipfile.ZipFile(out, "w") as archive:
        change(archive, members_of(bundle))
    return out


@pytest.mark.parametrize(
    "name",
    [
        "../outside.py",
        "/etc/passwd",
        "counterfactuals/../../outside.npz",
        "..\\outside.py",
        "C:\\outside.py",
        "counterfactuals/./0000000-0000019-0123456789abcdef.npz",
        "protocols/../counterfactuals/0000000-0000019-0123456789abcdef.npz",
        "protocols/a/b/counterfactuals/0000000-0000019-0123456789abcdef.npz",
        "counterfactuals/0000000-0000019-0123456789abcdef.npz\n",
        "counterfactuals/\u0660000000-0000019-0123456789abcdef.npz",
        "RUN.JSON",
        "notes.txt",
        "cfbench.pth",
        "gallery.png",
    ],
)
def test_a_member_of_any_other_name_is_refused(name: str, bundle: Path, toy: Toy, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    made = forged(bundle, tmp_path / "odd.zip", with_member(name))
    refusal(made, toy, f"the bundle holds {name!r}; expected bundle.json, run.json, queries.parquet, adapter.py")
    assert sorted(tmp_path.rglob("*")) == sorted([*before, made])
    assert not (tmp_path.parent / "outside.py").exists()


@pytest.mark.parametrize("side", [30_000, 2])
def test_pictures_are_no_part_of_a_bundle_whatever_they_hold(side: int, bundle: Path, toy: Toy, tmp_path: Path) -> None:
    """Images come as shards: a huge or cut-off PNG meets no decoder."""
    buffer = io.BytesIO()
    Image.new("1", (side, side)).save(buffer, "PNG")
    made = forged(bundle, tmp_path / "png.zip", with_member("counterfactuals/0000000.png", buffer.getvalue()[:200]))
    refusal(made, toy, "the bundle holds 'counterfactuals/0000000.png'; expected")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_special_files_are_refused(kind: int, bundle: Path, toy: Toy, tmp_path: Path) -> None:
    def change(archive: zipfile.ZipFile, members: dict[str, bytes]) -> None:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = ((kind if name == "adapter.py" else stat.S_IFREG) | 0o644) << 16
            archive.writestr(info, b"/etc/passwd" if name == "adapter.py" else data)

    what = "a symbolic link" if kind == stat.S_IFLNK else "a folder or special file"
    refusal(rezipped(bundle, tmp_path / "link.zip", change), toy, f"holds 'adapter.py', {what}; expected plain files")


def test_folders_and_twins_are_refused(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    def folder(archive: zipfile.ZipFile, members: dict[str, bytes]) -> None:
        archive.writestr("counterfactuals/", b"")

    refusal(rezipped(bundle, tmp_path / "folder.zip", folder), toy, "'counterfactuals/', a folder or special file")

    def twice(archive: zipfile.ZipFile, members: dict[str, bytes]) -> None:
        for _ in range(2):
            archive.writestr(zipfile.ZipInfo(FILE), members[FILE])

    with pytest.warns(UserWarning, match="Duplicate name"):
        made = rezipped(bundle, tmp_path / "twice.zip", twice)
    refusal(made, toy, "holds the member 'run.json' twice; expected each name once")


def test_packed_members_are_refused_unread(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    """A bomb: 500 MB in half a megabyte."""

    def bomb(archive: zipfile.ZipFile, members: dict[str, bytes]) -> None:
        with archive.open(zipfile.ZipInfo(TABLE), "w") as file:
            for _ in range(500):
                file.write(bytes(1_000_000))

    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo(TABLE)
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w") as file:
            for _ in range(500):
                file.write(bytes(1_000_000))
    assert (tmp_path / "bomb.zip").stat().st_size < 1_000_000
    refusal(tmp_path / "bomb.zip", toy, "holds 'queries.parquet', which says that", "unpack to 500000000")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused(method: int, bundle: Path, toy: Toy, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w", method) as archive:
        archive.writestr(FILE, members_of(bundle)[FILE])
    refusal(tmp_path / "other.zip", toy, f"holds 'run.json', packed by method {method}")


@pytest.mark.parametrize(
    ("name", "most"), [(FILE, 8_000_000), (MANIFEST, 8_000_000), (CARD, 50_000), ("adapter.py", 250_000)]
)
def test_large_members_are_refused_unread(name: str, most: int, bundle: Path, toy: Toy, tmp_path: Path) -> None:
    made = forged(bundle, tmp_path / "large.zip", with_member(name, b" " * (most + 1)), refit=False)
    refusal(made, toy, f"{name} has {most + 1} bytes; expected at most {most}")


def test_a_file_that_is_too_large_is_not_opened(toy: Toy, tmp_path: Path) -> None:
    with (tmp_path / "sparse.zip").open("wb") as file:
        file.truncate(1_000_000_001)
    refusal(tmp_path / "sparse.zip", toy, "sparse.zip has 1000000001 bytes; expected at most 1000000000")


def test_members_are_counted_before_their_directory_is_read(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for index in range(20_001):
            archive.writestr(zipfile.ZipInfo(str(index)), b"")
    refusal(tmp_path / "many.zip", toy, "many.zip has 20001 members in a directory of")
    data = bytearray((tmp_path / "many.zip").read_bytes())
    struct.pack_into("<2H", data, len(data) - 14, 5, 5)
    (tmp_path / "few.zip").write_bytes(data)
    refusal(tmp_path / "few.zip", toy, "few.zip has 20001 members; expected at most 20000")
    with zipfile.ZipFile(tmp_path / "long.zip", "w") as archive:
        for index in range(200):
            archive.writestr(zipfile.ZipInfo(f"{index:060000}"), b"")
    refusal(tmp_path / "long.zip", toy, "long.zip has 200 members in a directory of 12009200 bytes")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[: len(data) // 2], "is not a zip archive, is cut off, or has a comment"),
        (lambda data: data[:-1], "is not a zip archive"),
        (lambda data: b"", "is not a zip archive"),
        (lambda data: b"PK", "is not a zip archive"),
        (lambda data: b"#!/bin/sh\n" + data, "more than one archive in it, or parts missing"),
        (lambda data: data[1000:], "more than one archive in it, or parts missing"),
        (lambda data: data + data, "more than one archive in it"),
        (lambda data: data[:-22] + b"PK\x06\x07" + bytes(16) + data[-22:], "more than one archive in it"),
        (lambda data: data[:-2] + b"\x01\x00!", "is not a zip archive"),
    ],
)
def test_what_is_no_plain_archive_is_refused(
    change: Callable[[bytes], bytes], said: str, bundle: Path, toy: Toy, tmp_path: Path
) -> None:
    (tmp_path / "odd.zip").write_bytes(change(bundle.read_bytes()))
    refusal(tmp_path / "odd.zip", toy, "odd.zip", said)


def test_no_changed_byte_changes_what_is_accepted(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    good = bundle.read_bytes()
    for place in range(0, len(good), len(good) // 60):
        (tmp_path / "changed.zip").write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        try:
            verify(tmp_path / "changed.zip", dataset=toy)
        except Refused:
            continue
        assert members_of(tmp_path / "changed.zip") == members_of(bundle)


def test_an_encrypted_member_is_refused(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    data = bytearray(bundle.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    refusal(tmp_path / "locked.zip", toy, "'submission.json', which is encrypted")
