"""Every registered adapter passes every conformance check on the toy task, with a renderer for those that need one."""

from __future__ import annotations

from pathlib import Path

import pytest
from rendered import Rendered

from cfbench.errors import MissingResource
from cfbench.registry import METHODS
from cfbench.task import Task
from cfbench.testing import CHECKS, Check, Toy

VARIANTS = [
    *((name, {}) for name in METHODS.names()),
    ("pgd", {"norm": "l2", "epsilon": 2.0}),
    ("disc", {"prior": "pixels", "consistency": "duq", "smooth": 0.1}),
    ("disc", {"prior": "siren", "consistency": "none", "progressive": "layers", "warmup_rate": 1e-3, "rate": 1e-4}),
    ("disc", {"prior": "fourier", "progressive": "target"}),
    ("disc", {"progressive": "weights"}),
    ("leapfactual", {"injections": 2}),
    ("foolbox", {"attack": "LinfPGD", "epsilon": 0.1}),
    ("foolbox", {"attack": "L2CarliniWagnerAttack", "settings": {"binary_search_steps": 2, "steps": 5}}),
    ("dive", {"masks": "none"}),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("name", "parameters"), VARIANTS, ids=lambda value: value if isinstance(value, str) else "")
def test_adapter(
    name: str, parameters: dict[str, object], check: Check, toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CFBENCH_CACHE", str(toy_folder / "cache"))
    method = METHODS.load(name)
    settings = {**method.quick, **parameters}
    try:
        method.create(settings)
    except MissingResource as missing:
        pytest.skip(str(missing))
    task = Task(Rendered(toy_folder) if method.needs.truth else Toy(toy_folder))
    check(lambda: method.create(settings), task)
