"""A new adapter and its test, to be filled in: both pass as they are."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path
from string import Template

from cfbench.errors import InvalidParameter
from cfbench.files import write_text
from cfbench.registry import METHODS

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 40

ADAPTER = Template('''\
"""$name: say in one line what it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from cfbench import Method, Needs
from cfbench.errors import InvalidParameter
from torch import Tensor


class $kind(Method):
    """Plain gradient descent on the cross-entropy to the target class; put your method in its place.

    Say what is minimised, after which equation of the paper, and label what the paper leaves open "Our reading:".

    Args:
        steps: number of steps. rate: their length, in pixel values for a gradient of length 1.
    """

    name = "$name"
    family = "gradient descent"
    citation = "authors, title, venue, arXiv number"
    needs = Needs(gradients=True)
    quick: ClassVar[Mapping[str, Any]] = {"steps": 3}

    def __init__(self, *, steps: int = 50, rate: float = 0.1) -> None:
        if steps < 1 or rate <= 0:
            raise InvalidParameter(f"steps is {steps} and rate {rate}; expected steps >= 1 and rate > 0")
        self.steps = steps
        self.rate = rate

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        current = images.clone()
        for _ in range(self.steps):
            current.requires_grad_()
            loss = F.cross_entropy(self.task.classifier(current), targets, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, current)
            current = (current.detach() - self.rate * gradient).clamp(0, 1)
        return current
''')

TEST = Template('''\
"""$name keeps the contract of cfbench, and does what it is meant to do."""

from __future__ import annotations

import pytest
import torch
from cfbench import MethodView, Task
from cfbench.errors import InvalidParameter
from cfbench.testing import CHECKS, Check, build_toy

from $module import $kind


@pytest.fixture(scope="session")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """Where is the bright square? Its networks are trained in seconds."""
    return Task(build_toy(tmp_path_factory.mktemp("toy")))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(check: Check, task: Task) -> None:
    check(lambda: $kind.create($kind.quick), task)


def test_the_target_becomes_more_probable(task: Task) -> None:
    method = $kind()
    method.setup(MethodView(task, method.needs))
    images, targets = task.images(slice(0, 8)), task.targets[:8]
    made = method.explain(images, targets)
    before, after = (method.task.classifier(part).softmax(dim=1)[torch.arange(8), targets] for part in (images, made))
    assert (after > before).all()


def test_impossible_parameters_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="steps is 0"):
        $kind(steps=0)
''')


def write_skeleton(name: str, folder: Path) -> tuple[Path, Path]:
    """Write ``my_method.py`` and ``test_my_method.py`` for the name ``my-method``.

    Returns:
        The adapter and its test.

    Raises:
        InvalidParameter: no such name is possible, it is taken, or a file is there already.
    """
    module = name.replace("-", "_")
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise InvalidParameter(
            f"{name!r} is no name of a method; expected at most {LONGEST} small letters, digits and single hyphens, "
            "such as my-method"
        )
    if name in METHODS.names():
        raise InvalidParameter(f"a method {name!r} is there already; choose another name")
    if keyword.iskeyword(module) or importlib.util.find_spec(module) is not None:
        raise InvalidParameter(f"{module} is a word or module of Python already; choose another name")
    words = {"name": name, "module": module, "kind": "".join(part.capitalize() for part in name.split("-"))}
    files = folder / f"{module}.py", folder / f"test_{module}.py"
    for file in files:
        if file.exists():
            raise InvalidParameter(f"{file} is there already; give another name or --out")
    for file, template in zip(files, (ADAPTER, TEST), strict=True):
        write_text(file, template.substitute(words))
    return files
