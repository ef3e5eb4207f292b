"""Tensors kept between runs: what is slow to make is made once on a machine."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from torch import Tensor

from cfbench.errors import StorageError
from cfbench.files import cache_dir, canonical_json, content_hash, sha256_bytes, write_atomic


def kept_tensors(folder: str, key: Mapping[str, str], make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
    """The tensors, by name and on the CPU, that ``make`` gives, from disk where they were kept under the same ``key``.

    A file whose key or hash is not as expected is made again. A folder that cannot be written keeps nothing. Of several
    processes that need the same tensors one makes them, and the others wait.

    Args:
        folder: of the user's cache. key: all that the tensors depend on.
    """
    path = cache_dir() / folder / f"{content_hash(dict(key))}.safetensors"
    if (found := _read(path, key)) is not None:
        return found
    with _alone(path.with_suffix(".lock")):
        found = _read(path, key)
        if found is None:
            found = {name: tensor.contiguous() for name, tensor in make().items()}
            with suppress(StorageError):
                _write(path, key, found)
    return found


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process is in a block of the same ``path``; without waiting where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError:
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _read(path: Path, key: Mapping[str, str]) -> dict[str, Tensor] | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            found, said = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    return found if said == _metadata(key, found) else None


def _write(path: Path, key: Mapping[str, str], tensors: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    write_atomic(path, lambda temporary: save_file(tensors, temporary, _metadata(key, tensors)))


def _metadata(key: Mapping[str, str], tensors: Mapping[str, Tensor]) -> dict[str, str]:
    data = b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors))
    return {"key": canonical_json(dict(key)), "sha256": sha256_bytes(data)}
