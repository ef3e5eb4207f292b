"""Bundles: a finished run with its adapter and card in one zip file, the same bytes for the same run.

Images go in as the shards that the run wrote and was scored from: nothing is converted on the way, their form is
known before their data is read, and no picture decoder sees what a stranger sent. Members are stored as they are;
only the arrays inside a shard are deflated, and each is exactly as large as its form says.
"""

from __future__ import annotations

import inspect
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from cfbench.board import card as cards
from cfbench.board import source as sources
from cfbench.board.archive import Refused, open_archive
from cfbench.board.card import Card, first_problem, parse_card
from cfbench.errors import MissingResource
from cfbench.files import canonical_json, sha256_bytes, sha256_file, write_json
from cfbench.keys import used_sources
from cfbench.method import Method
from cfbench.npz import UNREADABLE
from cfbench.record import FILE, TABLE, Record
from cfbench.store import FOLDER, KEY_FILE
from cfbench.strict_json import read_json

MANIFEST = "bundle.json"

MOST_MEMBERS = 20_000
MOST_BYTES = 1_000_000_000
LIMITS = {MANIFEST: 8_000_000, FILE: 8_000_000, TABLE: 200_000_000, sources.MEMBER: 250_000, cards.FILE: 50_000}
"""Members of a bundle beside its shards, and the bytes that each may have."""

SHARD = re.compile(rf"(protocols/[a-z0-9_-]{{1,80}}/)?{FOLDER}/([0-9]{{7}})-([0-9]{{7}})-([0-9a-f]{{16}})\.npz")
SHARD_LIMIT = 500_000_000

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Member(BaseModel):
    """Size and hash of a member."""

    model_config = ConfigDict(extra="forbid", strict=True)
    bytes: int = Field(ge=0)
    sha256: Digest


class Manifest(BaseModel):
    """What a bundle holds beside its manifest, and sha256 of the cfbench modules that its adapter takes from."""

    model_config = ConfigDict(extra="forbid", strict=True)
    schema_version: Literal[1] = 1
    used: dict[Annotated[str, StringConstraints(pattern=r"^cfbench(\.[a-z0-9_]+)+$")], Digest]
    members: dict[str, Member]


@dataclass(frozen=True)
class Bundle:
    """An unpacked bundle whose members are those of its manifest; nothing else has been checked.

    Attributes:
        folder: a run folder, with the adapter's source and the card beside the record. sha256: of the file.
        shards: names of its shards, sorted. adapter: source of the adapter.
    """

    folder: Path
    sha256: str
    manifest: Manifest
    record: Record
    card: Card
    adapter: bytes
    shards: tuple[str, ...]


def write_bundle(out: Path, run: Path, card: Card, method: type[Method]) -> None:
    """Write the bundle of a finished run to ``out``; equal runs and cards give equal bytes."""
    shards = sorted(run.glob(f"{FOLDER}/*.npz")) + sorted(run.glob(f"protocols/*/{FOLDER}/*.npz"))
    members = {path.relative_to(run).as_posix(): path.read_bytes() for path in (run / FILE, run / TABLE, *shards)}
    members[sources.MEMBER] = Path(inspect.getfile(method)).read_bytes()
    members[cards.FILE] = canonical_json(card.model_dump(mode="json")).encode()
    described = {name: Member(bytes=len(data), sha256=sha256_bytes(data)) for name, data in members.items()}
    manifest = Manifest(used=used_sources(method), members=described)
    pack(out, {MANIFEST: canonical_json(manifest.model_dump(mode="json")).encode(), **members})


def pack(out: Path, members: Mapping[str, bytes]) -> None:
    """Write a zip file of stored members in the order of their names, without a trace of when and where."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, members[name])


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """Unpack a bundle into a folder that is gone afterwards.

    Raises:
        MissingResource: there is no such file.
        Refused: it is not a bundle, is too large, or a member is not what the manifest says; names it.
    """
    if not path.is_file():
        raise MissingResource(f"{path} is missing; give a bundle that cfbench submit wrote")
    if path.stat().st_size > MOST_BYTES:
        raise Refused(f"{path.name} has {path.stat().st_size} bytes; expected at most {MOST_BYTES}")
    with tempfile.TemporaryDirectory(prefix="cfbench-bundle-") as name:
        folder = Path(name)
        with path.open("rb") as file, open_archive(file, path.name, most=MOST_MEMBERS, compressed=False) as archive:
            manifest, small = _unpack(archive, folder)
        record = _record(small[FILE])
        write_json(folder / KEY_FILE, record.key.model_dump(mode="json"))
        yield Bundle(
            folder=folder,
            sha256=sha256_file(path),
            manifest=manifest,
            record=record,
            card=parse_card(small[cards.FILE]),
            adapter=small[sources.MEMBER],
            shards=tuple(sorted(name for name in manifest.members if name not in LIMITS)),
        )


def _unpack(archive: zipfile.ZipFile, folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Write every member below ``folder``, each as its manifest says; gives the manifest and the members that are no
    images."""
    infos = {info.filename: info for info in archive.infolist()}
    for name, info in infos.items():
        limit = SHARD_LIMIT if SHARD.fullmatch(name) else LIMITS.get(name)
        if limit is None or info.orig_filename != name:
            raise Refused(
                f"the bundle holds {info.orig_filename!r}; expected {', '.join(LIMITS)} and shards such as "
                f"{FOLDER}/0000000-0000249-0123456789abcdef.npz"
            )
        if info.file_size > limit:
            raise Refused(f"{name} has {info.file_size} bytes; expected at most {limit}")
    for name in LIMITS:
        if name not in infos:
            raise Refused(f"{name} is missing in the bundle; submit the run again")
    manifest = _manifest(_read(archive, MANIFEST))
    if odd := {*manifest.members} ^ {*infos} - {MANIFEST}:
        where = "the bundle" if min(odd) in infos else MANIFEST
        raise Refused(f"{min(odd)!r} is in {where} alone; expected the same members in both: submit the run again")
    small = {}
    for name, member in manifest.members.items():
        data = _read(archive, name)
        if (len(data), sha256_bytes(data)) != (member.bytes, member.sha256):
            raise Refused(
                f"{name} is not what {MANIFEST} says: {len(data)} bytes of sha256 {sha256_bytes(data)}, expected "
                f"{member.bytes} of {member.sha256}; submit the run again"
            )
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if name in LIMITS:
            small[name] = data
    return manifest, small


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except UNREADABLE as error:
        raise Refused(f"{name} is damaged in the bundle: {error}; submit the run again") from error


def _manifest(data: bytes) -> Manifest:
    try:
        return Manifest.model_validate(read_json(data, MANIFEST))
    except ValidationError as error:
        raise Refused(f"{MANIFEST}: {first_problem(error)}") from error


def _record(data: bytes) -> Record:
    try:
        return Record.model_validate(read_json(data, FILE))
    except ValidationError as error:
        raise Refused(f"{FILE} is no record of this release: {first_problem(error)}; score the run again") from error
