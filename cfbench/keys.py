"""What makes a run the run it is: code, parameters, task, networks, seed."""

from __future__ import annotations

import inspect
from pathlib import Path

from cfbench.files import content_hash, sha256_file
from cfbench.method import Method
from cfbench.record import RunKey
from cfbench.task import HEADS, Task


def source_hash(method: type[Method]) -> str:
    """One hash over the source of an adapter and of every cfbench module that it takes something from."""
    adapters = [inspect.getmodule(base) for base in method.__mro__ if base.__module__ not in ("builtins", "abc")]
    used = [inspect.getmodule(value) for adapter in adapters for value in vars(adapter).values() if callable(value)]
    sources = {
        module.__name__: sha256_file(Path(module.__file__))
        for module in (*adapters, *used)
        if module is not None and module.__name__.startswith("cfbench.") and module.__file__
    }
    return content_hash([sha256_file(Path(inspect.getfile(method))), sources])


def run_key(method: Method, task: Task, *, seed: int) -> RunKey:
    """The key of a run: adapter code and parameters, task, networks and seed."""
    roles = [role for role in method.needs.networks if task.explains_own or role not in HEADS]
    names = [task.classifier, *(name for role in roles for name in task.dataset.names(role))]
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
        networks={name: task.dataset.entry(name).sha256 for name in names},
        seed=seed,
    )


def run_path(root: Path, key: RunKey) -> Path:
    """Folder of a run below ``root``: readable, and different for different keys."""
    split = "" if key.split == "test" else f"-{key.split}"
    classifier = "" if key.classifier == "classifier" else f"-{key.classifier}"
    return root / f"{key.task}-{key.targets}{split}{classifier}" / f"{key.method}-seed{key.seed}-{key.digest[:8]}"
