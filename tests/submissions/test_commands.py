"""The way of a submission on the command line: new, check, evaluate, submit, verify."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundles import edited, forged
from commands import exit_code

from cfbench.board.entries import read_entries
from cfbench.files import sha256_file
from cfbench.registry import METHODS
from cfbench.skeleton import write_skeleton
from cfbench.testing import CHECKS

ROOT = Path(__file__).parents[2]
ADAPTERS = ROOT / "tests" / "adapters"


def test_a_new_method_goes_all_the_way(
    toy_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code("new", "my-method") == 0
    assert "next: cfbench check my_method.py:MyMethod" in capsys.readouterr().out
    assert exit_code("check", "my_method.py:MyMethod", "--task", toy_key) == 0
    shown = capsys.readouterr().out
    assert f"\nall {len(CHECKS)} checks passed\n" in shown, "on a line of its own, also where no terminal is"
    assert shown.count("✓") == len(CHECKS)
    assert exit_code("evaluate", "--method", "my_method.py:MyMethod", "--task", toy_key) == 0
    [run] = (tmp_path / "runs").glob("*/*")
    capsys.readouterr()
    submit = ("submit", run, "--method", "my_method.py:MyMethod", "--task", toy_key)
    assert exit_code(*submit) == 1
    assert "card: card.toml\nnext: fill it in and give the same command again" in capsys.readouterr().out
    assert exit_code(*submit) == 2
    assert "card.toml: author is wrong" in capsys.readouterr().err
    card = Path("card.toml").read_text()
    Path("card.toml").write_text(card.replace('author = ""', 'author = "[red]A[/red]"').replace('= ""  ', '= "MIT"'))
    text = Path("card.toml").read_text().replace('paper = "MIT"', 'paper = ""').replace('code = "MIT"', 'code = ""')
    Path("card.toml").write_text(text)
    assert exit_code(*submit) == 0
    shown = capsys.readouterr().out
    assert "my-method on toy@v1, targets near, seed 0: accepted, from [red]A[/red], licence MIT" in shown
    assert f"next: add it as leaderboard/submissions/{run.name}.zip in a pull request" in shown
    bundle = Path(f"{run.name}.zip")
    digest = sha256_file(bundle)
    assert exit_code(*submit) == 0
    assert sha256_file(bundle) == digest
    capsys.readouterr()
    board = tmp_path / "leaderboard"
    board.mkdir()
    shutil.copy(ROOT / "leaderboard" / "board.toml", board)
    verify = ("leaderboard", "verify", bundle, "--task", toy_key, "--source", "--records", board / "records")
    assert exit_code(*verify) == 0
    shown = capsys.readouterr().out
    assert "class MyMethod(Method):" in shown
    assert "the same bit for bit" in shown
    assert "published: leaderboard/records/toy@v1-near/my-method-seed0-" in shown
    [entry] = read_entries(board / "records")
    assert entry.submission is not None
    assert entry.submission.author == "[red]A[/red]"


def test_a_refused_bundle_is_one_line_and_exit_code_1(
    bundle: Path, toy_key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = forged(bundle, tmp_path / "edited.zip", edited("scores.l1.all.value", 0.0))
    assert exit_code("leaderboard", "verify", made, "--task", toy_key) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("refused: run.json: l1, all: value is 0.0; the images give 0.06")
    assert shown.err.count("\n") == 1
    assert exit_code("leaderboard", "verify", tmp_path / "nowhere.zip") == 2
    assert "nowhere.zip is missing; give a bundle that cfbench submit wrote" in capsys.readouterr().err
    assert exit_code("leaderboard", "verify", bundle) == 2
    assert "unknown task 'toy'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("adapter", "reason"),
    [
        ("bad.py:WrongShape", "returned torch.float32 [8, 1, 5, 12]"),
        ("bad.py:TorchRandom", "random"),
        ("bad.py:AlwaysRaises", "no idea"),
        ("bad.py:SometimesRaises", "too dark"),
    ],
)
def test_check_says_what_fails_and_why(
    adapter: str, reason: str, toy_key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("check", f"{ADAPTERS / adapter}", "--task", toy_key) == 1
    shown = capsys.readouterr().out
    assert reason in shown
    assert "✗" in shown
    assert f"of {len(CHECKS)} checks failed" in shown


def test_check_takes_parameters_and_refuses_unknown_ones(toy_key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("check", "noise", "--task", toy_key, "--set", "linf=0.2") == 2
    assert "parameters and defaults" in capsys.readouterr().err


def test_the_skeleton_passes_its_own_test_and_the_linters(tmp_path: Path, toy_folder: Path) -> None:
    write_skeleton("my-method", tmp_path)
    commands = [
        ["ruff", "check", "--isolated", "."],
        ["ruff", "format", "--check", "--isolated", "--line-length", "120", "."],
        ["mypy", "--strict", "--follow-imports=silent", "my_method.py", "test_my_method.py"],
    ]
    for command in commands:
        pytest.importorskip(command[0])
        options = {"cwd": tmp_path, "env": {**os.environ, "MYPYPATH": str(ROOT)}}
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, **options)
        assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "conftest.py").write_text(
        "import cfbench.testing\nfrom pathlib import Path\n"
        f"cfbench.testing.build_toy = lambda folder: cfbench.testing.Toy(Path({str(toy_folder)!r}))\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert f"{len(CHECKS) + 2} passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My-Method", "'My-Method' is no name of a method; expected at most 40 small letters"),
        ("my_method", "such as my-method"),
        ("../evil", "such as my-method"),
        ("a" * 41, "at most 40"),
        ("", "such as my-method"),
        ("dip", "a method 'dip' is there already"),
        ("random", "random is a word or module of Python already"),
        ("class", "class is a word or module of Python already"),
        ("torch", "torch is a word or module of Python already"),
    ],
)
def test_impossible_names_are_refused(name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("new", name, "--out", tmp_path) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_new_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test_my_method.py").write_text("mine")
    assert exit_code("new", "my-method", "--out", tmp_path) == 2
    assert "test_my_method.py is there already" in capsys.readouterr().err
    assert [file.read_text() for file in tmp_path.iterdir()] == ["mine"]


def test_submitting_needs_a_finished_run_and_its_adapter(
    tmp_path: Path, run: Path, toy_key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("submit", tmp_path) == 2
    assert "run.json is missing" in capsys.readouterr().err
    assert exit_code("submit", run, "--card", tmp_path / "card.toml", "--method", "nothing.py:X") == 1
    assert exit_code("submit", run, "--card", tmp_path / "card.toml", "--method", "nothing.py:X") == 2
    assert "nothing.py is missing" in capsys.readouterr().err
    assert METHODS.load("pgd").name == "pgd"
