"""What makes a training the training it is: recipe, data, version of torch."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cfbench.dataset import Dataset, Images
from cfbench.files import content_hash, sha256_bytes, sha256_file


def described(value: Any) -> Any:
    """``value`` for JSON, the same in every process: objects by their class and fields, functions by their names."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): described(part) for key, part in value.items()}
        case list() | tuple():
            return [described(part) for part in value]
        case Tensor():
            return sha256_bytes(value.detach().cpu().contiguous().numpy().tobytes())
        case partial():
            return described([value.func, value.args, value.keywords])
    return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else _object(value)


def _object(value: object) -> Any:
    names = [each.name for each in fields(value)] if is_dataclass(value) else list(getattr(value, "__dict__", ()))
    held = {name: described(getattr(value, name)) for name in names}
    return [described(type(value)), held if names else str(value)]


def training_identity(dataset: Dataset, name: str, data: Images) -> dict[str, str]:
    """What a checkpoint must agree with, so that going on from it gives what an undisturbed training gives."""
    spec = dataset.networks[name]
    digest = hashlib.sha256()
    for part in filter(torch.is_tensor, (data.images, data.labels, data.attributes)):
        digest.update(f"{list(part.shape)}".encode())
        digest.update(part.contiguous().numpy().data)
    return {
        "network": f"{dataset.key} {name}",
        "recipe": content_hash([described(spec), sha256_file(Path(inspect.getfile(type(spec.recipe))))]),
        "data": digest.hexdigest(),
        "torch version": str(torch.__version__),
    }
