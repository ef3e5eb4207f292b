"""Every registered adapter passes every conformance check on the toy task."""

from __future__ import annotations

import pytest

from cfbench.registry import METHODS
from cfbench.task import Task
from cfbench.testing import CHECKS, Check

VARIANTS = [*((name, {}) for name in METHODS.names()), ("pgd", {"norm": "l2", "epsilon": 2.0})]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("name", "parameters"), VARIANTS, ids=lambda value: value if isinstance(value, str) else "")
def test_adapter(name: str, parameters: dict[str, object], check: Check, task: Task) -> None:
    method = METHODS.load(name)
    check(lambda: method.create({**method.quick, **parameters}), task)
