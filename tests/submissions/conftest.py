"""A toy run and its bundle, made once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from bundles import bundle_of, run_of

from cfbench.registry import METHODS
from cfbench.testing import Toy


@dataclass(frozen=True)
class Submitted:
    """A run of an attack on the toy task, and its bundle."""

    run: Path
    bundle: Path


@pytest.fixture(scope="session")
def submitted(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Submitted:
    folder = tmp_path_factory.mktemp("submitted")
    attack = METHODS.load("pgd")
    _, run = run_of(attack, Toy(toy_folder), folder / "runs", batch_size=20)
    return Submitted(run, bundle_of(run, folder / "pgd.zip", attack))


@pytest.fixture(scope="session")
def bundle(submitted: Submitted) -> Path:
    return submitted.bundle


@pytest.fixture(scope="session")
def run(submitted: Submitted) -> Path:
    return submitted.run


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test hands to the verifier, the temporary folder is as empty afterwards as torch leaves it."""
    scratch = tmp_path_factory.mktemp("scratch")
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield
    assert not [path for path in scratch.iterdir() if not path.name.startswith("torch")]
