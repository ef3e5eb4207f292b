"""Features of real images, kept between runs: slow networks see them once on a machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from cfbench.errors import StorageError
from cfbench.files import cache_dir, canonical_json, content_hash, sha256_bytes, write_atomic


def kept_features(key: Mapping[str, str], make: Callable[[], Tensor]) -> Tensor:
    """The features that ``make`` gives, from disk where they were kept under the same ``key``.

    A file whose key or hash is not as expected is made again. A folder that cannot be written keeps nothing.
    """
    path = cache_dir() / "features" / f"{content_hash(dict(key))}.safetensors"
    found = _read(path, key)
    if found is None:
        found = make()
        with suppress(StorageError):
            _write(path, key, found)
    return found


def _read(path: Path, key: Mapping[str, str]) -> Tensor | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            features, said = file.get_tensor("features"), file.metadata()
    except (OSError, SafetensorError):
        return None
    return features if said == _metadata(key, features) else None


def _write(path: Path, key: Mapping[str, str], features: Tensor) -> None:
    from safetensors.torch import save_file

    features = features.contiguous()
    write_atomic(path, lambda temporary: save_file({"features": features}, temporary, _metadata(key, features)))


def _metadata(key: Mapping[str, str], features: Tensor) -> dict[str, str]:
    return {"key": canonical_json(dict(key)), "sha256": sha256_bytes(features.numpy().tobytes())}
