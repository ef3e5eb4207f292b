"""Fixtures: the toy task, built once, and the command line run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from commands import exit_code
from exported import Export, exported
from own_pictures import FACTORY, Thirds, make, save_pictures

from cfbench.task import Task
from cfbench.testing import Toy, build_toy

torch.set_num_threads(1)
"""The networks of the tests are so small that a second thread costs more than it brings."""

Command = Callable[..., subprocess.CompletedProcess[str]]

TASK_FILE = "from cfbench.testing.toy import Toy as Base\n\n\nclass Toy(Base):\n    name = 'toy'\n"


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    build_toy(folder)
    (folder / "toy_task.py").write_text(TASK_FILE)
    return folder


@pytest.fixture
def toy(toy_folder: Path) -> Toy:
    return Toy(toy_folder)


@pytest.fixture
def task(toy: Toy) -> Task:
    return Task(toy)


@pytest.fixture
def toy_key(toy_folder: Path) -> str:
    """What --task takes for the toy task."""
    return f"{toy_folder / 'toy_task.py'}:Toy"


@pytest.fixture
def cfbench(tmp_path: Path) -> Command:
    """Run the command line in an empty folder, with an empty cache."""

    def run(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "CFBENCH_CACHE": str(tmp_path / "cache"),
            "TORCH_HOME": str(tmp_path / "torch"),
            "COLUMNS": "200",
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
        }
        command = [sys.executable, "-m", "cfbench.cli", *map(str, arguments)]
        settings = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 300}
        return subprocess.run(command, **(settings | options))  # type: ignore[call-overload, no-any-return]

    return run


@pytest.fixture(scope="module")
def export(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """A toy run as files, as if its images had been made elsewhere."""
    return exported(toy_folder, tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="session")
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures, classifiers, and a cache in which the task ``squares`` was made of them."""
    folder = tmp_path_factory.mktemp("own")
    save_pictures(folder / "pictures", 90, 5)
    torch.jit.script(Thirds()).save(folder / "net.pt")
    (folder / "judge.py").write_text(FACTORY)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CFBENCH_CACHE", str(folder / "cache"))
        assert exit_code(*make(folder), "--name", "squares") == 0
    return folder


@pytest.fixture
def own(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder, with its cache as the one in use."""
    monkeypatch.setenv("CFBENCH_CACHE", str(own_folder / "cache"))
    return own_folder
