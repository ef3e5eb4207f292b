"""``cfbench leaderboard add``, ``build`` and ``show`` as a user runs them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import Command, exit_code
from published import board_folder, shares, write_entry

from cfbench.board.data import leaderboard
from cfbench.datasets.fashion_mnist import FashionMNIST

N = 100

Run = Callable[..., str]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Boards of two tasks; the first has every status, and one more ranked row than is shown unasked."""
    records = board_folder(tmp_path)
    for task in ("squares@v1", "circles@v1"):
        write_entry(records, "pgd", shares(N, 0.2, 0), values={"l1": np.full(N, 0.125)}, key={"task": task})
    for index in range(11):
        agreed = np.repeat([1.0, 0.0], [50 + index, 50 - index])
        write_entry(records, f"method-{index:02d}", agreed, track="data-free" if index else "generator-based")
    write_entry(records, "weak", shares(N, 0.1, 0))
    write_entry(records, "quick", np.ones(50), expected=N)
    return records


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """What ``cfbench leaderboard`` prints on stdout when all is well."""
    return Command("leaderboard", capsys).printed


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Run:
    """What it prints on stderr, in one line, when it ends with exit code 2."""
    return Command("leaderboard", capsys).refused


def methods(printed: str) -> list[str]:
    """The methods in the order of the table's lines."""
    words = [word for line in printed.splitlines() for word in line.split()[:3]]
    return [word for word in words if word.startswith("method-") or word in ("pgd", "weak", "quick")]


def test_show_prints_the_first_ranked_rows_and_the_references(records: Path, run: Run) -> None:
    printed = run("show", "--records", records)
    squares, _, circles = printed.partition("circles@v1-near")
    assert methods(circles) == ["pgd"]
    assert methods(squares) == [*(f"method-{index:02d}" for index in range(10, 0, -1)), "pgd"]
    assert "not shown: 1 more ranked, 1 adversarial, 1 partial" in squares
    assert "targets near, 100 queries" in squares
    [best] = [line for line in squares.splitlines() if "method-10" in line]
    assert best.split()[:5] == ["1-11", "*", "method-10", "data-free", "0.6"]
    [attack] = [line for line in squares.splitlines() if " pgd " in line]
    assert attack.split()[:3] == ["reference", "pgd", "data-free"]
    assert "0.125" in attack
    assert printed.rstrip().splitlines()[-1].startswith("next: cfbench leaderboard show --all")


def test_show_all_gives_reasons(records: Path, run: Run) -> None:
    printed = run("show", "--records", records, "--all", "--task", "squares")
    assert "circles" not in printed
    assert methods(printed) == [*(f"method-{index:02d}" for index in range(10, -1, -1)), "weak", "pgd", "quick"]
    assert "weak: oracle_agreed_flip is not above that of pgd beyond chance" in printed
    assert "quick: has explained 50 of 100 queries" in printed
    assert "not shown" not in printed


def test_show_one_track(records: Path, run: Run) -> None:
    printed = run("show", "--records", records, "--task", "squares@v1", "--track", "generator-based")
    assert methods(printed) == ["method-00", "pgd"]
    assert len(methods(run("show", "--records", records, "--task", "squares@v1", "--track", "white-box"))) == 11


def test_show_as_json_is_the_data_of_the_page(records: Path, run: Run) -> None:
    assert json.loads(run("show", "--records", records, "--json")) == leaderboard(records)
    part = json.loads(run("show", "--records", records, "--json", "--task", "circles"))
    assert [row["method"] for row in part["rows"]] == ["pgd"]
    assert [board["task"] for board in part["tasks"]] == ["circles@v1"]


def test_what_there_is_not_is_refused(records: Path, refused: Run, tmp_path: Path) -> None:
    assert "no board of task 'mnist'; there are circles@v1, squares@v1" in refused(
        "show", "--records", records, "--task", "mnist"
    )
    assert "no row of track 'x'; there are data-free, generator-based, white-box" in refused(
        "show", "--records", records, "--track", "x"
    )
    (tmp_path / "empty").mkdir()
    empty = board_folder(tmp_path / "empty")
    for command in ("show", "build"):
        assert "publish one with: cfbench leaderboard add RUN" in refused(command, "--records", empty)
    assert not (empty.parent / "index.html").exists()


def test_text_of_others_cannot_control_the_terminal(records: Path, run: Run, refused: Run) -> None:
    for name in ("plain", "[red]x[/]\u202edne"):
        write_entry(records, "mine", shares(N, 0.6, 1), key={"parameters": {"name": name}})
    printed = run("show", "--records", records, "--all")
    assert "mine name=[red]x[/] dne" in printed, "no markup, and nothing that turns the writing round"
    write_entry(records, "mine", shares(N, 0.6, 1), key={"parameters": {"name": "\x1b]0;owned\x07"}})
    assert "\x1b" not in refused("show", "--records", records)


def test_build_writes_the_page_beside_the_records(records: Path, run: Run, tmp_path: Path) -> None:
    printed = run("build", "--records", records)
    page = records.parent / "index.html"
    assert f"page: {page} (" in printed
    assert "15 rows" in printed
    assert "method-10" in page.read_text(encoding="utf-8")
    assert [path.name for path in records.parent.iterdir() if path.name.startswith(".tmp")] == []
    run("build", "--records", records, "--out", tmp_path / "elsewhere" / "board.html")
    assert (tmp_path / "elsewhere" / "board.html").read_bytes() == page.read_bytes()


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    records: Path, run: Run, refused: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("build", "--records", records)
    page = records.parent / "index.html"
    before = page.read_bytes()
    write_entry(records, "another", shares(N, 0.6, 1))

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert "No space left on device" in refused("build", "--records", records)
    assert page.read_bytes() == before
    assert {path.name for path in records.parent.iterdir()} == {"board.toml", "index.html", "records"}


def test_add_then_show_a_run_of_the_packaged_task(run: Run, tmp_path: Path) -> None:
    """A real run of a few queries: partial, published, listed."""
    records = board_folder(tmp_path)
    assert exit_code("evaluate", "--method", "identity", "--limit", "20", "--out", tmp_path / "runs") == 0
    [folder] = (tmp_path / "runs" / f"{FashionMNIST().key}-near").iterdir()
    printed = run("add", folder, "--records", records)
    assert "published:" in printed
    assert "next: cfbench leaderboard show" in printed
    shown = run("show", "--records", records, "--all")
    assert "identity: has explained 20 of 1,000 queries" in shown


def test_what_cannot_be_added_is_refused(refused: Run, tmp_path: Path) -> None:
    records = board_folder(tmp_path)
    assert "run.json is missing" in refused("add", tmp_path, "--records", records)
    assert "board.toml is missing" in refused("add", tmp_path, "--records", tmp_path / "nowhere" / "records")
