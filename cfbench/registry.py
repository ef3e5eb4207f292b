"""Finding methods, data sets and metrics by name: built-in folders, entry points, files.

Names are read from the source text (``name = "..."`` in a class body), so that listing imports no framework.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cfbench.errors import InvalidParameter, MissingResource, UnknownName
from cfbench.files import cache_dir, sha256_bytes

if TYPE_CHECKING:
    from cfbench.dataset import Dataset
    from cfbench.metrics.base import Metric


@dataclass(frozen=True)
class Registration:
    """One registered class: its name, where it is, its first docstring line."""

    name: str
    module: str
    attribute: str
    summary: str

    def load(self) -> type[Any]:
        """Import the class."""
        loaded: type[Any] = getattr(importlib.import_module(self.module), self.attribute)
        return loaded


def _registrations(source: Path, module: str) -> Iterator[Registration]:
    for node in ast.parse(source.read_bytes(), filename=str(source)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for statement in node.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id="name")], value=ast.Constant(value=str(name))):
                    summary = (ast.get_docstring(node) or "").partition("\n")[0]
                    yield Registration(name, module, node.name, summary)


class Registry:
    """All classes of one kind.

    Args:
        kind: the word used in messages, such as ``method``.
        package: built-in package to scan and entry-point group, such as ``cfbench.methods``.
        base: base class, as ``module:Class``.
    """

    def __init__(self, kind: str, package: str, base: str) -> None:
        self.kind = kind
        self.package = package
        self._base = base

    @cached_property
    def builtin(self) -> dict[str, Registration]:
        """Registrations of the built-in package by name."""
        spec = importlib.util.find_spec(self.package)
        found: dict[str, Registration] = {}
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted(Path(folder).iterdir()):
                source = path / "__init__.py" if path.is_dir() else path
                if source.suffix == ".py" and source.is_file() and path.name != "__init__.py":
                    for entry in _registrations(source, f"{self.package}.{path.stem}"):
                        found[entry.name] = entry
        return dict(sorted(found.items()))

    @cached_property
    def installed(self) -> dict[str, EntryPoint]:
        """Entry points of other distributions by name."""
        return {point.name: point for point in entry_points(group=self.package)}

    def names(self) -> list[str]:
        """Every registered name."""
        return sorted({*self.builtin, *self.installed})

    def summary(self, name: str) -> str:
        """First line of the docstring of a built-in class, or the distribution of an installed one."""
        if name in self.builtin:
            return self.builtin[name].summary
        point = self.installed[name]
        return f"from {point.dist.name if point.dist else point.value}"

    def load(self, name: str) -> type[Any]:
        """The class registered as ``name``, or the one that ``path/to/file.py:Class`` names.

        Raises:
            UnknownName: no such name; suggests the nearest.
            MissingResource: the file does not exist.
            InvalidParameter: what was found is not a subclass of the base class, or does not import.
        """
        path, separator, attribute = name.rpartition(":")
        if separator and path.endswith(".py"):
            found: object = getattr(import_file(Path(path)), attribute, None)
        elif name in self.builtin:
            found = self.builtin[name].load()
        elif name in self.installed:
            found = self.installed[name].load()
        else:
            near = difflib.get_close_matches(name, self.names(), n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(self.names())}"
            raise UnknownName(f"unknown {self.kind} {name!r}; {hint} (cfbench list {self.kind}s shows all)")
        module, _, base_name = self._base.partition(":")
        base = getattr(importlib.import_module(module), base_name)
        if not (isinstance(found, type) and issubclass(found, base)):
            raise InvalidParameter(f"{name} is not a {self.kind}: expected a subclass of cfbench.{base_name}")
        if getattr(found, "__abstractmethods__", None) or not hasattr(found, "name"):
            raise InvalidParameter(f"{name} is not complete: give it a name and its abstract methods")
        return found


def import_file(path: Path, form: str = "path/to/file.py:Class") -> ModuleType:
    """Import a Python file of the user.

    Raises:
        MissingResource: it is not there. InvalidParameter: it does not import.
    """
    if not path.is_file():
        raise MissingResource(f"{path} is missing; give {form}")
    name = f"cfbench_user_{path.stem}_{sha256_bytes(str(path.resolve()).encode())[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidParameter(f"{path} is not a Python file; give {form}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise InvalidParameter(f"{path} does not import: {type(error).__name__}: {error}") from error
    return module


TASK_FILE = "task.json"
"""In the folder of a task that was made of a user's own pictures."""


def user_task_folder(name: str) -> Path:
    """Where a task of the user's own pictures lies, unless it was put elsewhere."""
    return cache_dir() / "tasks" / name


class TaskRegistry(Registry):
    """The data sets, with those that were made of the user's own pictures."""

    @property
    def own(self) -> dict[str, Path]:
        """Folders of the user's tasks by name."""
        return {path.parent.name: path.parent for path in sorted(user_task_folder("").glob(f"*/{TASK_FILE}"))}

    def names(self) -> list[str]:
        return sorted({*super().names(), *self.own})

    def summary(self, name: str) -> str:
        return f"your own pictures, in {self.own[name]}" if name in self.own else super().summary(name)

    def load(self, name: str) -> type[Any]:
        """As :meth:`Registry.load`; also the data set of a user's task, by its name or the path of its folder."""
        folder = self.own.get(name, Path(name))
        if not (folder / TASK_FILE).is_file():
            if folder.is_dir() and name not in self.names():
                raise UnknownName(
                    f"{name} is a folder, not a task; make one of pictures by: cfbench prepare --from-folder {name}"
                )
            return super().load(name)
        from cfbench.user_tasks import dataset_class, read_facts

        return dataset_class(read_facts(folder), folder.resolve())


METHODS = Registry("method", "cfbench.methods", "cfbench.method:Method")
DATASETS = TaskRegistry("task", "cfbench.datasets", "cfbench.dataset:Dataset")
METRICS = Registry("metric", "cfbench.metrics", "cfbench.metrics.base:Metric")


def load_dataset(key: str) -> Dataset:
    """The data set of a task key, ``name`` or ``name@version``.

    Raises:
        UnknownName: no such data set, or another version than the one that is here.
    """
    if key.partition(":")[0].endswith(".py") or (Path(key) / TASK_FILE).is_file():
        named: Dataset = DATASETS.load(key)()
        return named
    name, _, version = key.partition("@")
    dataset: Dataset = DATASETS.load(name)()
    if version and version != dataset.version:
        raise UnknownName(f"unknown task {key!r}; there is {dataset.key}")
    return dataset


def metric_of(key: str) -> type[Metric]:
    """The metric class behind the name of a score, which is its own or ends with a feature space: ``fd[extractor]``.

    Raises:
        UnknownName: no metric of this name is registered.
    """
    found: type[Metric] = METRICS.load(key.partition("[")[0])
    return found
