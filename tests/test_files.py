"""Atomic writing, verified reading, canonical hashing."""

from __future__ import annotations

from pathlib import Path

import pytest

from cfbench.errors import CorruptFile, MissingResource, StorageError
from cfbench.files import canonical_json, read_verified, sha256_bytes, sha256_file, write_atomic, write_text


def test_sha256_of_the_standards_example(tmp_path: Path) -> None:
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_bytes(b"abc") == sha256_file(tmp_path / "abc") == expected


def test_canonical_json_does_not_depend_on_order() -> None:
    assert (
        canonical_json({"b": 1, "a": [1.5, None]})
        == canonical_json({"a": [1.5, None], "b": 1})
        == '{"a":[1.5,null],"b":1}'
    )


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def broken(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match=r"No space left on device; free some space"):
        write_atomic(path, broken)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot write .*file/below/x"):
        write_text(tmp_path / "file" / "below" / "x", "text")


def test_verified_reading_names_both_hashes(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    with pytest.raises(MissingResource, match="do this"):
        read_verified(path, sha256="0" * 64, remedy="do this")
    path.write_bytes(b"abc")
    assert read_verified(path, sha256=sha256_bytes(b"abc"), remedy="") == b"abc"
    path.write_bytes(b"ab")
    with pytest.raises(CorruptFile) as caught:
        read_verified(path, sha256=sha256_bytes(b"abc"), remedy="do this")
    assert sha256_bytes(b"ab") in str(caught.value)
    assert sha256_bytes(b"abc") in str(caught.value)
