"""Tensors that take long to make, kept between runs: features of real images, maps that a method trained."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from cfbench.errors import StorageError
from cfbench.files import cache_dir, canonical_json, content_hash, write_atomic

Tensors = Mapping[str, Tensor]


def kept(kind: str, key: Mapping[str, str], make: Callable[[], Tensors]) -> Tensors:
    """The named tensors that ``make`` gives, from disk where they were kept under the same ``key``.

    A file whose key or hash is not as expected is made again. A folder that cannot be written keeps nothing.

    Args:
        kind: what they are; the folder of the cache.
    """
    path = cache_dir() / kind / f"{content_hash(dict(key))}.safetensors"
    found = _read(path, key)
    if found is None:
        found = make()
        with suppress(StorageError):
            _write(path, key, found)
    return found


def _read(path: Path, key: Mapping[str, str]) -> Tensors | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            said = file.metadata()
    except (OSError, SafetensorError):
        return None
    return found if said == _metadata(key, found) else None


def _write(path: Path, key: Mapping[str, str], tensors: Tensors) -> None:
    from safetensors.torch import save_file

    plain = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(path, lambda temporary: save_file(plain, temporary, _metadata(key, plain)))


def _metadata(key: Mapping[str, str], tensors: Tensors) -> dict[str, str]:
    digest = hashlib.sha256()
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.numpy().tobytes())
    return {"key": canonical_json(dict(key)), "sha256": digest.hexdigest()}
