"""The manifest of a data set: every packaged file with its hash, every network with how it was made."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from cfbench.files import sha256_file, write_text


class FileEntry(BaseModel):
    """Name, size and hash of one packaged file."""

    model_config = ConfigDict(extra="forbid")
    file: str
    bytes: int
    sha256: str


def file_entry(folder: Path, file: str) -> FileEntry:
    """The entry of an existing file below ``folder``."""
    path = folder / file
    return FileEntry(file=file, bytes=path.stat().st_size, sha256=sha256_file(path))


class NetworkEntry(FileEntry):
    """A trained network: where it is, how it was made, how good it is."""

    role: str
    architecture: str
    parameters: int
    command: str
    seed: int
    threads: int
    seconds: float
    quality: dict[str, float]


class Manifest(BaseModel):
    """Everything that belongs to one version of a data set."""

    model_config = ConfigDict(extra="forbid")
    version: str
    splits: dict[str, FileEntry] = {}
    networks: dict[str, NetworkEntry] = {}

    def write(self, folder: Path) -> None:
        """Write ``manifest.json`` into ``folder``."""
        write_text(folder / "manifest.json", self.model_dump_json(indent=2) + "\n")
