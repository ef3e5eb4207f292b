"""Downloads that go on where they stopped, show their progress, and are checked before they are used."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from cfbench.errors import CorruptFile, MissingResource

BLOCK = 1 << 16
SECONDS = 30.0
"""Silence of the server after which a download stops."""


def fetch(url: str, path: Path, *, sha256: str, packed: bool = False) -> Path:
    """Download ``url`` to ``path``, unless it is there; nothing is at ``path`` before its hash was found right.

    What arrived before an interruption is kept in ``path.part``, from which the next call goes on.

    Args:
        sha256: of the file, or where ``packed`` of what gunzipping it gives.

    Raises:
        MissingResource: the server cannot be reached, or the connection broke; says how to go on.
        CorruptFile: what the server gave, or what lies at ``path``, has another hash.
    """
    if not path.is_file():
        part = path.with_name(path.name + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _continue(url, part)
        except (OSError, http.client.HTTPException) as error:
            raise MissingResource(
                f"{url} cannot be downloaded ({error}); run the command again to go on, or copy the file to {path}"
            ) from error
        _check(part, sha256, packed=packed, source=url)
        part.replace(path)
    else:
        _check(path, sha256, packed=packed, source=str(path))
    return path


def _continue(url: str, part: Path) -> None:
    """Append to ``part`` what it lacks of ``url``."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    done = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=SECONDS)
    except urllib.error.HTTPError as error:
        if done and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return
        raise
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with response, Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        goes_on = response.status == http.HTTPStatus.PARTIAL_CONTENT
        done = done if goes_on else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        task = progress.add_task(part.name.removesuffix(".part"), total=total, completed=done)
        with part.open("ab" if goes_on else "wb") as file:
            while block := response.read(BLOCK):
                file.write(block)
                done += len(block)
                progress.update(task, completed=done)
    if total is not None and done < total:
        raise http.client.IncompleteRead(b"", total - done)


def _check(path: Path, sha256: str, *, packed: bool, source: str) -> None:
    """Refuse, and remove if it was downloaded, a file of another hash."""
    digest = hashlib.sha256()
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
        found = digest.hexdigest()
    except (OSError, EOFError) as error:
        found = f"none ({error})"
    if found != sha256:
        if path.suffix == ".part":
            path.unlink()
        raise CorruptFile(f"{source} has sha256 {found}, expected {sha256}; get it from its publisher again")
