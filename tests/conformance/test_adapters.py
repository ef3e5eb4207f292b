"""Every registered adapter passes every conformance check on the toy task, with a renderer for those that need one."""

from __future__ import annotations

from pathlib import Path

import pytest
from rendered import Rendered

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
    ("dive", {"masks": "none"}),
]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What methods learn is kept for one check alone."""
    monkeypatch.setenv("CFBENCH_CACHE", str(tmp_path))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("name", "parameters"), VARIANTS, ids=lambda value: value if isinstance(value, str) else "")
def test_adapter(name: str, parameters: dict[str, object], check: Check, toy_folder: Path) -> None:
    method = METHODS.load(name)
    task = Task(Rendered(toy_folder) if method.needs.truth else Toy(toy_folder))
    check(lambda: method.create({**method.quick, **parameters}), task)
