"""A training session: shows how far it is, and keeps checkpoints from which a killed training goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cfbench.errors import CorruptFile, RunMismatch
from cfbench.files import write_atomic

Progress = Callable[[float, str], None]
"""Called with the finished share in [0, 1] and a text such as the current loss."""

SECONDS = 60.0
"""Longest time between two checkpoints."""

State = dict[str, Any]
"""A tree of dictionaries and lists with tensors, numbers and strings as leaves."""


def _packed(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` for JSON, its tensors moved to ``tensors``; keys of dictionaries may be numbers."""
    match value:
        case Tensor():
            tensors[path] = value.detach().clone(memory_format=torch.contiguous_format)
            return {"tensor": path}
        case Mapping():
            return {"items": [[key, _packed(part, f"{path}/{key}", tensors)] for key, part in value.items()]}
        case list() | tuple():
            return [_packed(part, f"{path}/{index}", tensors) for index, part in enumerate(value)]
    return value


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    match value:
        case {"tensor": path}:
            return tensors[path]
        case {"items": items}:
            return {key: _unpacked(part, tensors) for key, part in items}
        case list():
            return [_unpacked(part, tensors) for part in value]
    return value


def write_state(path: Path, state: State, identity: Mapping[str, str]) -> None:
    """Write a tree of tensors and numbers as one safetensors file, with ``identity`` in its header."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    metadata = {"state": json.dumps(_packed(state, "", tensors)), "identity": json.dumps(dict(identity))}
    write_atomic(path, partial(save_file, tensors, metadata=metadata))


def read_state(path: Path, identity: Mapping[str, str]) -> State:
    """The tree that :func:`write_state` wrote with the same ``identity``.

    Raises:
        CorruptFile: it is no such file. RunMismatch: the identity differs; says in what.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        found, state = json.loads(metadata["identity"]), json.loads(metadata["state"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CorruptFile(f"{path} is not a checkpoint ({error}); remove it, or train anew without --resume") from error
    other = [key for key in identity if identity[key] != found.get(key)]
    if other:
        raise RunMismatch(
            f"{path} is a checkpoint with another {' and another '.join(other)}; go on with the one that it was made "
            "with, or train anew without --resume"
        )
    tree: State = _unpacked(state, tensors)
    return tree


class Checkpoints:
    """The checkpoints of one training: a file for each call of the training loop, replaced in one step.

    Args:
        folder, name: the files are ``folder/name.1.safetensors`` and so on.
        identity: what a checkpoint must have been made with to be of use, such as a hash of the data.
        resume: whether to go on from what is there; if not, it is removed.
        seconds: longest time between two checkpoints.
    """

    def __init__(
        self, folder: Path, name: str, identity: Mapping[str, str], *, resume: bool, seconds: float = SECONDS
    ) -> None:
        self.folder = folder
        self.name = name
        self.identity = identity
        self.seconds = seconds
        self._started = time.monotonic()
        self._calls = 0
        if not resume:
            self.remove()

    @staticmethod
    def files(folder: Path, name: str) -> list[Path]:
        """The checkpoints of a training that are in ``folder``."""
        return sorted(folder.glob(f"{name}.[0-9]*.safetensors"))

    def remove(self) -> None:
        """Forget all checkpoints of this training."""
        for path in self.files(self.folder, self.name):
            path.unlink()

    @property
    def spent(self) -> float:
        """Seconds that the training took, with those before it was killed."""
        return time.monotonic() - self._started

    def stage(self) -> Stage:
        """The checkpoint of the next call of the training loop."""
        self._calls += 1
        return Stage(self, self.folder / f"{self.name}.{self._calls}.safetensors")

    def load(self, path: Path) -> State | None:
        """What was stored at ``path``, if anything was; see :func:`read_state` for what it raises."""
        if not path.is_file():
            return None
        state = read_state(path, self.identity)
        self._started = time.monotonic() - state["spent"]
        training: State = state["training"]
        return training

    def save(self, path: Path, training: State) -> None:
        """Store a state at ``path``."""
        write_state(path, {"spent": self.spent, "training": training}, self.identity)


class Stage:
    """One call of the training loop, with or without a place for its checkpoint."""

    def __init__(self, checkpoints: Checkpoints | None = None, path: Path = Path()) -> None:
        self._checkpoints = checkpoints
        self._path = path
        self._saved = time.monotonic()

    def load(self) -> State | None:
        """Where this call stopped when it was killed; None if it was not."""
        return None if self._checkpoints is None else self._checkpoints.load(self._path)

    def save(self, training: Callable[[], State], *, now: bool) -> None:
        """Store the state, if ``now`` or if the last one is old enough."""
        if self._checkpoints is None or not (now or time.monotonic() - self._saved >= self._checkpoints.seconds):
            return
        self._checkpoints.save(self._path, training())
        self._saved = time.monotonic()


class Session:
    """What a recipe trains in: hand it on to the training loop, which shows its progress and keeps checkpoints.

    Args:
        progress: told the finished share and a text. checkpoints: where the training is kept, if anywhere.
        start, end: shares in [0, 1] between which this part of the training lies.
    """

    def __init__(
        self,
        progress: Progress | None = None,
        checkpoints: Checkpoints | None = None,
        *,
        start: float = 0.0,
        end: float = 1.0,
    ) -> None:
        self._progress = progress
        self._checkpoints = checkpoints
        self._start = start
        self._end = end
        self._notes: dict[str, float] = {}

    def part(self, start: float, end: float) -> Session:
        """The session of one of several calls of the training loop: its share of the work, from 0 to 1."""
        width = self._end - self._start
        return Session(
            self._progress, self._checkpoints, start=self._start + start * width, end=self._start + end * width
        )

    def stage(self) -> Stage:
        """Where the training loop keeps its state."""
        return Stage() if self._checkpoints is None else self._checkpoints.stage()

    def note(self, **figures: float) -> None:
        """Show figures of a batch, such as its accuracy, beside the loss; they are smoothed over about 20 batches."""
        for name, value in figures.items():
            last = self._notes.get(name, value)
            self._notes[name] = last + (value - last) / 20

    def progress(self, share: float, text: str) -> None:
        """Tell the finished share of this part, and what to show beside it."""
        if self._progress is not None:
            noted = "".join(f", {name} {value:.3f}" for name, value in self._notes.items())
            self._progress(self._start + share * (self._end - self._start), text + noted)
