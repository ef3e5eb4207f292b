"""Bundles of toy runs, honest and forged."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cfbench.board.archive import Refused
from cfbench.board.bundle import MANIFEST, pack, write_bundle
from cfbench.board.card import Card
from cfbench.board.verify import Verdict, verify
from cfbench.files import canonical_json, sha256_bytes
from cfbench.harness import evaluate
from cfbench.method import Method
from cfbench.record import FILE, Record
from cfbench.recording import rescore
from cfbench.registry import METHODS
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.testing import Toy

Change = Callable[[dict[str, bytes]], None]

ADAPTER = '''\
import torch
from cfbench import Method, Needs


class Brighten(Method):
    """Blend the query with white."""

    name = "brighten"
    family = "test"
    citation = "none"
    needs = Needs({needs})

    def explain(self, images, targets):
        {body}
        return images * 0.5 + 0.5
'''


def card_of(record: Record, **changes: Any) -> Card:
    """A filled-in card that agrees with a record."""
    fields = {"author": "A. Author", "licence": "MIT", "environment": "a laptop", "date": date(2026, 1, 2)}
    access = {"access": record.card.access, "track": record.card.track}
    return Card.model_validate({**fields, **access, **changes})


def adapter_file(folder: Path, *, needs: str = "", body: str = "pass") -> type[Method]:
    """An adapter of a user, in a file."""
    path = folder / "brighten.py"
    path.write_text(ADAPTER.format(needs=needs, body=body))
    return METHODS.load(f"{path}:Brighten")


def run_of(method: type[Method], toy: Toy, root: Path, **options: Any) -> tuple[Record, Path]:
    return evaluate(method(), Task(toy), root=root, **options)


def bundle_of(run: Path, out: Path, method: type[Method], **card: Any) -> Path:
    """The bundle of a run as it is, whether or not it would be accepted."""
    write_bundle(out, run, card_of(Record.read(run), **card), method)
    return out


def run_with(images: Tensor, method: type[Method], toy: Toy, root: Path) -> Path:
    """A run whose images were exchanged and scored: what a forger makes who owns the machine."""
    _, path = run_of(method, toy, root)
    folder = RunFolder(path)
    for shard in list(folder.shards()):
        made = images[shard.positions.start : shard.positions.stop].clone()
        folder.write(type(shard)(**{**vars(shard), "images": made}))
    rescore(folder, Task(toy))
    return path


def members_of(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def shard_names(members: Mapping[str, bytes]) -> list[str]:
    return sorted(name for name in members if name.endswith(".npz"))


def forged(bundle: Path, out: Path, change: Change, *, refit: bool = True) -> Path:
    """A bundle whose members ``change`` has changed; with ``refit`` its manifest has their sizes and hashes."""
    members = members_of(bundle)
    change(members)
    if refit:
        manifest = json.loads(members.pop(MANIFEST))
        manifest["members"] = {
            name: {"bytes": len(data), "sha256": sha256_bytes(data)} for name, data in members.items()
        }
        members[MANIFEST] = canonical_json(manifest).encode()
    pack(out, members)
    return out


def edited(place: str, value: object, member: str = FILE) -> Change:
    """Sets the value at a place such as ``scores.l1.all.value`` of a JSON member."""

    def change(members: dict[str, bytes]) -> None:
        content = json.loads(members[member])
        *path, last = (int(part) if part.isdigit() else part for part in place.split("."))
        inner = content
        for name in path:
            inner = inner[name]
        inner[last] = value
        members[member] = json.dumps(content).encode()

    return change


def npy(array: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array), allow_pickle=True)
    return buffer.getvalue()


def shard_with(**arrays: bytes | None) -> Change:
    """Exchanges, adds or, for None, takes out arrays of the first shard; its name fits its new content."""

    def change(members: dict[str, bytes]) -> None:
        first = shard_names(members)[0]
        with zipfile.ZipFile(io.BytesIO(members.pop(first))) as archive:
            held = {name: archive.read(name) for name in archive.namelist()}
        held |= {f"{name}.npy": data for name, data in arrays.items() if data is not None}
        for name in [name for name, data in arrays.items() if data is None]:
            del held[f"{name}.npy"]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in held.items():
                archive.writestr(name, data)
        put(members, first, buffer.getvalue())

    return change


def put(members: dict[str, bytes], name: str, data: bytes) -> None:
    """Put a shard under the positions of ``name`` and the hash of its content."""
    stem = name.rpartition("-")[0]
    members[f"{stem}-{sha256_bytes(data)[:16]}.npz"] = data


def images_of(members: Mapping[str, bytes]) -> Tensor:
    """The counterfactuals of a bundle."""
    parts = []
    for name in shard_names(members):
        with np.load(io.BytesIO(members[name])) as arrays:
            parts.append(torch.from_numpy(arrays["images"]))
    return torch.cat(parts)


def accepted(bundle: Path, toy: Toy) -> Verdict:
    return verify(bundle, dataset=toy)


def refusal(bundle: Path, toy: Toy, *words: str) -> str:
    """Why a bundle is refused; the reason must hold ``words``."""
    with pytest.raises(Refused) as caught:
        verify(bundle, dataset=toy)
    message = str(caught.value)
    for word in words:
        assert re.search(re.escape(word), message), message
    return message


def with_member(name: str, data: bytes = b"x") -> Change:
    def change(members: dict[str, bytes]) -> None:
        members[name] = data

    return change
