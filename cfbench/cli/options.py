"""Options that several commands share, and how their text becomes objects."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfbench.errors import InvalidParameter

if TYPE_CHECKING:
    from cfbench.dataset import Dataset
    from cfbench.method import Method
    from cfbench.task import Task


INTERRUPTED = 130
"""Exit code after Ctrl-C."""


class TargetRule(StrEnum):
    """How targets are chosen."""

    near = "near"
    any = "any"


class QuerySplit(StrEnum):
    """Which queries are explained."""

    test = "test"
    validation = "validation"


MethodOption = Annotated[str, typer.Option("--method", help="Registered name, or path/to/file.py:Class.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A parameter of the method, as JSON (0.3, true, [0, 2]) or text; repeatable.",
    ),
]
TaskOption = Annotated[
    str | None, typer.Option("--task", help="Task key, name or name@version; by default the packaged one.")
]
TargetsOption = Annotated[
    TargetRule, typer.Option("--targets", help="near: the classifier's second class; any: a seeded other class.")
]
ClassifierOption = Annotated[
    str | None,
    typer.Option("--classifier", help="Explain this network of the task instead, such as a robust classifier."),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="cpu|cuda|mps|auto",
        help="Where to compute, also cuda:1 and the like; auto: on an accelerator if there is one.",
    ),
]


def task_key(task: str | None) -> str:
    """A task key, by default that of the packaged task."""
    from cfbench.datasets import DEFAULT

    return task or DEFAULT


def dataset_of(task: str | None) -> Dataset:
    """The data set of a task key, or the default one."""
    from cfbench.registry import load_dataset

    return load_dataset(task_key(task))


def usable_device(device: str) -> str:
    """The torch device of that name; of ``auto``, the accelerator of this machine or else the CPU.

    Raises:
        InvalidParameter: torch does not know it or cannot use it here.
    """
    import torch

    if device == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        device = "cpu" if found is None else found.type
    try:
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise InvalidParameter(f"device {device!r} cannot be used here: {reason}; try --device cpu") from error
    return device


def make_task(task: str | None, targets: str, split: str, device: str, classifier: str | None = None) -> Task:
    """The task that the options name.

    Raises:
        InvalidParameter: torch does not know the device or cannot use it here.
    """
    from cfbench.task import Task

    chosen = usable_device(device)
    return Task(dataset_of(task), targets=targets, split=split, device=chosen, classifier=classifier)


def make_method(name: str, settings: list[str] | None, *, quick: bool = False) -> Method:
    """The method of that name with ``name=value`` settings; values are read as JSON where they are JSON.

    Args:
        quick: use the parameters that the adapter says make it fast, where ``settings`` do not name them.
    """
    from cfbench.registry import METHODS

    kind = METHODS.load(name)
    parameters: dict[str, Any] = {**kind.quick} if quick else {}
    for setting in settings or []:
        key, separator, text = setting.partition("=")
        if not separator:
            raise InvalidParameter(f"--set {setting!r} is not of the form name=value")
        try:
            parameters[key] = json.loads(text)
        except ValueError:
            parameters[key] = text
    method: Method = kind.create(parameters)
    return method


def shown(path: Path) -> str:
    """``path`` relative to where the user stands, if it is below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
