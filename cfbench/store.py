"""A run folder: the key of the run, shards of 8-bit counterfactuals, the record."""

from __future__ import annotations

import fcntl
import json
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor

from cfbench.errors import CorruptFile, MissingResource, RunInUse, RunMismatch
from cfbench.files import sha256_bytes, sha256_file, unwritable, write_atomic, write_json
from cfbench.record import RunKey

KEY_FILE = "key.json"
FOLDER = "counterfactuals"
LOCK = "lock.json"
COLUMN = "column_"


@dataclass(frozen=True)
class Session:
    """What all shards that one process wrote share: the cost of ``prepare``, memory, device."""

    setup_seconds: float
    setup_forwards: int
    peak_mb: float | None
    device: str


@dataclass(frozen=True)
class Shard:
    """Finished queries at positions ``first`` .. ``first + n - 1`` of a task.

    Attributes:
        images: counterfactuals ``[n, C, H, W]``, uint8. errors: one message a query, empty where it succeeded.
        seconds, forwards, backwards, generated: totals of the shard. columns: figures the method logged, ``[n]``.
        further: other counterfactuals of each query, ``[n, K, C, H, W]``, uint8, if the method handed in any.
    """

    first: int
    images: Tensor
    errors: list[str]
    seconds: float
    forwards: int
    backwards: int
    generated: int
    session: Session
    columns: dict[str, Tensor] = field(default_factory=dict)
    further: Tensor | None = None

    @property
    def positions(self) -> range:
        """Positions of its queries in the task."""
        return range(self.first, self.first + len(self.errors))

    def to_bytes(self) -> bytes:
        """The shard as an npz file without objects."""
        facts = {
            "first": self.first,
            "seconds": self.seconds,
            "forwards": self.forwards,
            "backwards": self.backwards,
            "generated": self.generated,
            "session": asdict(self.session),
        }
        buffer = BytesIO()
        arrays: dict[str, Any] = {COLUMN + name: values.numpy() for name, values in self.columns.items()}
        arrays |= {"images": self.images.cpu().numpy(), "errors": np.array(self.errors), "facts": json.dumps(facts)}
        if self.further is not None:
            arrays["further"] = self.further.numpy()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Shard:
        """The inverse of :meth:`to_bytes`."""
        with np.load(BytesIO(data), allow_pickle=False) as arrays:
            facts = json.loads(str(arrays["facts"]))
            session = Session(**facts.pop("session"))
            columns = {
                name.removeprefix(COLUMN): torch.from_numpy(arrays[name]) for name in arrays if name.startswith(COLUMN)
            }
            return cls(
                images=torch.from_numpy(arrays["images"]),
                errors=[str(error) for error in arrays["errors"]],
                session=session,
                columns=columns,
                further=torch.from_numpy(arrays["further"]) if "further" in arrays else None,
                **facts,
            )


def among(queries: Tensor, parts: Sequence[tuple[slice, Tensor]]) -> Tensor | None:
    """Further counterfactuals ``[N, K, C, H, W]`` of 8-bit ``queries`` ``[N, C, H, W]``, or None without any parts.

    Args:
        parts: further counterfactuals ``[n, k, C, H, W]`` of queries at these places. The query stands in for others.
    """
    if not parts:
        return None
    most = max(further.shape[1] for _, further in parts)
    together = queries[:, None].repeat(1, most, 1, 1, 1)
    for places, further in parts:
        together[places, : further.shape[1]] = further
    return together


class Holder(BaseModel):
    """Who writes a run folder, or was the last to: process, machine, local time, queries asked for."""

    pid: int
    host: str
    since: str
    requested: int = 0

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


class RunFolder:
    """The folder of one run. Shards appear whole or not at all; a damaged one counts as missing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def claim(self, key: RunKey) -> None:
        """Make this the folder of the run ``key``, or check that it is.

        Raises:
            RunMismatch: it holds another run; names the first difference.
        """
        path = self.path / KEY_FILE
        wanted = key.model_dump(mode="json")
        if not path.exists():
            write_json(path, wanted)
            return
        held = self.key().model_dump(mode="json")
        for name, value in wanted.items():
            if held[name] != value:
                raise RunMismatch(
                    f"{self.path} holds a run with {name} {held[name]!r}, asked for {value!r}; "
                    "choose another --out, or delete the folder to start over"
                )

    def key(self) -> RunKey:
        """The key of the run held here.

        Raises:
            MissingResource: this is not a run folder. CorruptFile: its key is damaged.
        """
        path = self.path / KEY_FILE
        if not path.is_file():
            raise MissingResource(f"{self.path} is not a run folder (no {KEY_FILE}); give a folder that evaluate wrote")
        try:
            return RunKey.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise CorruptFile(
                f"{path} is damaged: {error.errors()[0]['msg']}; delete the folder and run again"
            ) from error

    def _files(self) -> list[Path]:
        return sorted(file for file in (self.path / FOLDER).glob("*.npz") if not file.name.startswith("."))

    def content(self) -> tuple[str, ...]:
        """Names of the stored shards: they hold positions and hash, so that equal names mean equal shards."""
        return tuple(file.name for file in self._files())

    def write(self, shard: Shard) -> None:
        """Store a shard atomically under a name that holds its positions and hash; it replaces one of its positions."""
        self.write_bytes(shard.positions, shard.to_bytes())

    def write_bytes(self, positions: range, data: bytes) -> None:
        """Store the shard of ``positions`` that ``data`` is, as :meth:`write` does."""
        prefix = f"{positions[0]:07d}-{positions[-1]:07d}-"
        path = self.path / FOLDER / f"{prefix}{sha256_bytes(data)[:16]}.npz"
        replaced = [file for file in path.parent.glob(f"{prefix}*.npz") if file != path]
        write_atomic(path, lambda temporary: temporary.write_bytes(data))
        for file in replaced:
            file.unlink(missing_ok=True)

    @contextmanager
    def held(self, **facts: object) -> Iterator[None]:
        """Be the only one to write here, until the block is left or the process ends, however it does.

        Args:
            facts: what ``cfbench status`` shows of whoever is at work, JSON-able.

        Raises:
            RunInUse: another process writes here; says which, and since when. StorageError: no file can be written.
        """
        path = self.path / LOCK
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b")
        except OSError as error:
            raise unwritable(path, error) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunInUse(f"{self.path} is being written by {self.holder()}; wait for it, or stop it") from None
            holder = {"pid": os.getpid(), "host": platform.node(), "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
            file.truncate(0)
            file.write(json.dumps(holder | facts).encode())
            file.flush()
            for left in (self.path / FOLDER).glob(".tmp-*"):
                left.unlink(missing_ok=True)
            yield

    def holder(self) -> Holder | None:
        """Who writes here or was the last to; None if nobody ever did."""
        try:
            return Holder.model_validate_json((self.path / LOCK).read_bytes())
        except (OSError, ValidationError):
            return None

    def busy(self) -> bool:
        """Whether a process on this machine writes here."""
        try:
            with (self.path / LOCK).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def discard_damaged(self) -> list[Path]:
        """Delete shards whose content does not fit the hash in their name; gives their paths."""
        damaged = [file for file in self._files() if sha256_file(file)[:16] != file.stem.rpartition("-")[2]]
        for file in damaged:
            file.unlink()
        return damaged

    def shards(self) -> Iterator[Shard]:
        """Stored shards in query order, each read and verified when its turn comes; no position comes twice.

        Raises:
            CorruptFile: one does not fit the hash in its name.
        """
        following = 0
        for file in self._files():
            if int(file.stem.split("-")[0]) < following:
                continue
            data = file.read_bytes()
            if sha256_bytes(data)[:16] != file.stem.rpartition("-")[2]:
                raise CorruptFile(
                    f"{file} is damaged: its sha256 is not the one in its name; run evaluate again to redo it"
                )
            shard = Shard.from_bytes(data)
            following = shard.positions.stop
            yield shard

    def positions(self) -> Iterator[range]:
        """Positions of the stored shards in query order, as their names say."""
        following = 0
        for file in self._files():
            first, last = map(int, file.stem.split("-")[:2])
            if first >= following:
                yield range(first, last + 1)
                following = last + 1

    def missing(self, requested: int) -> Iterator[range]:
        """Positions below ``requested`` that are not stored yet, in order."""
        following = 0
        for stored in self.positions():
            if following < min(stored.start, requested):
                yield range(following, min(stored.start, requested))
            following = stored.stop
        if following < requested:
            yield range(following, requested)


def cut(ranges: Iterable[range], size: int) -> Iterator[range]:
    """Cut ranges of positions into such of at most ``size``."""
    return (part[start : start + size] for part in ranges for start in range(0, len(part), size))
