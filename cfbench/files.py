"""Reading with verification, writing atomically, hashing."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cfbench.errors import CorruptFile, MissingResource, StorageError

CACHE_VARIABLE = "CFBENCH_CACHE"
DATA_VARIABLE = "CFBENCH_DATA"


def cache_dir() -> Path:
    """Folder for downloaded and locally trained files: ``$CFBENCH_CACHE`` or the user's cache folder."""
    import platformdirs

    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("cfbench"))


def sha256_bytes(data: bytes) -> str:
    """Hex sha256 of ``data``."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex sha256 of the file at ``path``, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """The one JSON text of ``value``: sorted keys, no spaces, no NaN; equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_hash(value: Any) -> str:
    """Hex sha256 of a JSON-able value."""
    return sha256_bytes(canonical_json(value).encode())


def read_verified(path: Path, *, sha256: str, remedy: str) -> bytes:
    """The bytes of ``path``, whose hash must be ``sha256``.

    Raises:
        MissingResource: there is no such file.
        CorruptFile: it is no readable file, or its hash is another one; the message names both, ends with ``remedy``.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MissingResource(f"{path} is missing; {remedy}") from None
    except (OSError, ValueError) as error:
        raise CorruptFile(f"{path} cannot be read ({error}); {remedy}") from error
    found = sha256_bytes(data)
    if found != sha256:
        raise CorruptFile(
            f"{path} is corrupt or truncated: sha256 {found} ({len(data)} bytes), expected {sha256}; {remedy}"
        )
    return data


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` fill a temporary file beside ``path``, then move it there in one step.

    A reader, or a run resumed after a kill, sees the whole file or none.

    Raises:
        StorageError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> StorageError:
    """The error that says why ``path`` could not be written and what to do."""
    return StorageError(
        f"cannot write {path}: {error.strerror or error}; free some space or choose a folder that you can write with "
        "--out"
    )


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 ``text`` to ``path`` atomically."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON to ``path`` atomically."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
