"""Wheel, source archive and editable install in fresh environments: data included, no stray top-level packages."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PROBE = """
import importlib.util, cfbench.methods.pgd, cfbench.datasets.fashion_mnist, cfbench
for name in ("methods", "datasets", "leaderboard", "reports"):
    assert importlib.util.find_spec(name) is None, f"{name} became importable"
print(cfbench.__file__)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def environment(folder: Path) -> tuple[Path, Path]:
    """A fresh environment that sees the dependencies of this one but not its cfbench; its Python and scripts."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    query = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", query], check=True, capture_output=True, text=True).stdout.strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python, python.parent


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_works_from(kind: str, built: Path, tmp_path: Path) -> None:
    python, scripts = environment(tmp_path / "env")
    source = {"wheel": "*.whl", "sdist": "*.tar.gz"}
    target = [str(next(built.glob(source[kind])))] if kind in source else ["--editable", str(ROOT)]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", *options, *target],
        check=True,
        capture_output=True,
    )

    probe = subprocess.run([python, "-c", PROBE], cwd=tmp_path, check=True, capture_output=True, text=True)
    home = ROOT if kind == "editable" else tmp_path
    assert Path(probe.stdout.strip()).is_relative_to(home)
    done = subprocess.run(
        [scripts / "cfbench", "evaluate", "--method", "identity", "--limit", "20"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.rglob("runs/*/*/run.json"))) == 1


def test_the_archive_carries_the_tests_and_the_wheel_does_not(built: Path) -> None:
    import tarfile
    import zipfile

    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        assert any(name.endswith("tests/test_install.py") for name in archive.getnames())
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"cfbench"}
    assert {"cfbench/datasets/fashion_mnist/manifest.json", "cfbench/board/web/page.html.j2"} <= set(names)
    for kind in ("safetensors", "npz", "csv", "json"):
        packaged = {str(path.relative_to(ROOT)) for path in ROOT.glob(f"datasets/**/*.{kind}")}
        assert {f"cfbench/{path}" for path in packaged} <= set(names)
