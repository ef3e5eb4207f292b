"""Finding classes: built in, by file, by entry point; near misses and wrong things."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from cfbench.errors import InvalidParameter, MissingResource, UnknownName
from cfbench.registry import DATASETS, METHODS, METRICS, Registry, load_dataset

GOOD = """
from cfbench.method import Method

class Mine(Method):
    name = "mine"
    family = "test"
    citation = "none"

    def explain(self, images, targets):
        return images
"""


def test_built_in_names() -> None:
    assert {"dip", "identity", "nearest-unlike", "noise", "pgd", "wachter"} <= set(METHODS.names())
    assert "fashion-mnist" in DATASETS.names()
    assert {"flip_rate", "oracle_agreed_flip", "fd", "split_fd", "lpips", "fid"} <= set(METRICS.names())


@pytest.mark.parametrize("registry", [METHODS, DATASETS, METRICS], ids=lambda registry: registry.kind)
def test_every_registered_class_loads_under_its_name(registry: Registry) -> None:
    for name in registry.names():
        assert registry.load(name).name == name
        assert registry.summary(name)


def test_listing_does_not_import_torch() -> None:
    code = "import sys; from cfbench.registry import METHODS; METHODS.names(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("registry", "name", "near"),
    [(METHODS, "watcher", "wachter"), (DATASETS, "fashionmnist", "fashion-mnist"), (METRICS, "fliprate", "flip_rate")],
)
def test_a_near_miss_is_suggested(registry: Registry, name: str, near: str) -> None:
    with pytest.raises(UnknownName, match=f"unknown {registry.kind} '{name}'; did you mean '{near}'"):
        registry.load(name)


def test_without_a_near_miss_all_are_named() -> None:
    with pytest.raises(UnknownName, match=r"choose one of: .*identity"):
        METHODS.load("xyzzy-qwerty")


def test_an_adapter_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(GOOD)
    assert METHODS.load(f"{tmp_path}/mine.py:Mine").name == "mine"
    with pytest.raises(MissingResource, match=r"other.py is missing"):
        METHODS.load(f"{tmp_path}/other.py:Mine")
    with pytest.raises(InvalidParameter, match=r"not a method: expected a subclass of cfbench.Method"):
        METHODS.load(f"{tmp_path}/mine.py:Nothing")
    (tmp_path / "broken.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(InvalidParameter, match="does not import: ModuleNotFoundError"):
        METHODS.load(f"{tmp_path}/broken.py:Mine")
    (tmp_path / "half.py").write_text(GOOD.partition("    def explain")[0])
    with pytest.raises(InvalidParameter, match="not complete"):
        METHODS.load(f"{tmp_path}/half.py:Mine")


def test_an_adapter_of_another_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint(name="theirs", value="cfbench.methods.identity:Identity", group="cfbench.methods")
    monkeypatch.setattr("cfbench.registry.entry_points", lambda group: [point] if group == "cfbench.methods" else [])
    registry = Registry("method", "cfbench.methods", "cfbench.method:Method")
    assert "theirs" in registry.names()
    assert registry.load("theirs").name == "identity"


def test_versions_of_a_task() -> None:
    assert load_dataset("fashion-mnist").key == load_dataset("fashion-mnist@v1").key == "fashion-mnist@v1"
    with pytest.raises(UnknownName, match=r"unknown task 'fashion-mnist@v9'; there is fashion-mnist@v1"):
        load_dataset("fashion-mnist@v9")
