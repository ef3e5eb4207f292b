"""What makes a run the run it is: code, parameters, task, networks, seed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path

from cfbench.files import content_hash, sha256_file
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.record import RunKey
from cfbench.task import HEADS, Task


def used_sources(method: type[Method]) -> dict[str, str]:
    """sha256 of the source of every cfbench module that an adapter, or a class it extends, takes something from."""
    adapters = [inspect.getmodule(base) for base in method.__mro__ if base.__module__ not in ("builtins", "abc")]
    used = [inspect.getmodule(value) for adapter in adapters for value in vars(adapter).values() if callable(value)]
    return {
        module.__name__: sha256_file(Path(module.__file__))
        for module in (*adapters, *used)
        if module is not None and module.__name__.startswith("cfbench.") and module.__file__
    }


def source_hash(method: type[Method]) -> str:
    """One hash over the source of an adapter and of every cfbench module that it takes something from."""
    return combined_hash(sha256_file(Path(inspect.getfile(method))), used_sources(method))


def combined_hash(adapter: str, used: Mapping[str, str]) -> str:
    """The hash of an adapter, from the sha256 of its own file and of what it takes from cfbench."""
    return content_hash([adapter, used])


def run_key(method: Method, task: Task, *, seed: int) -> RunKey:
    """The key of a run: adapter code and parameters, task, networks and seed."""
    return RunKey(
        method=method.name,
        method_version=method.version,
        adapter=source_hash(type(method)),
        parameters=method.parameters(),
        task=task.key,
        targets=task.rule,
        split=task.split,
        split_hash=task.dataset.split_hash,
        classifier=task.classifier,
        networks={name: task.dataset.entry(name).sha256 for name in handed(method.needs, task)},
        seed=seed,
    )


def handed(needs: Needs, task: Task) -> list[str]:
    """Names of the networks that a method with such needs is handed: the one explained, and those of its roles."""
    roles = [role for role in needs.networks if task.explains_own or role not in HEADS]
    return [task.classifier, *(name for role in roles for name in task.dataset.names(role))]


def run_path(root: Path, key: RunKey) -> Path:
    """Folder of a run below ``root``: readable, and different for different keys."""
    split = "" if key.split == "test" else f"-{key.split}"
    classifier = "" if key.classifier == "classifier" else f"-{key.classifier}"
    return root / f"{key.task}-{key.targets}{split}{classifier}" / f"{key.method}-seed{key.seed}-{key.digest[:8]}"
