"""Records, cards, rules of a board and studies, damaged in every way: read, or refused by a line that says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fuzzing import VALUES, altered, altered_toml, cases, damaged, refused
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from published_texts import RECORD, ROOT

from cfbench.board.card import parse_card, read_card
from cfbench.board.rules import Rules
from cfbench.errors import CorruptFile
from cfbench.keys import run_path
from cfbench.record import FILE, Record
from cfbench.strict_json import read_json
from cfbench.study import Study

CARD = """\
author = "A. Author"
affiliation = ""
licence = "MIT"
paper = "https://example.org/paper"
code = ""
date = 2026-01-02
environment = "a laptop"
access = "white-box"
track = "data-free"
reads = ""
notes = "none"
"""

STUDY = """\
title = "Toys"
metrics = ["flip_rate", "l1", "split_fd"]
[[part]]
name = "attacks"
tasks = ["fashion-mnist"]
limit = 30
seeds = 3
protocols = ["stability"]
[[part.row]]
method = "noise"
set = { epsilon = 0.2 }
[[part.row]]
method = "pgd"
label = "attack"
set = { steps = 3 }
grid = { epsilon = [0.1, 0.3] }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("texts")


@cases(60)
@given(data=st.data())
def test_records(folder: Path, data: DataObject) -> None:
    text = json.dumps(data.draw(altered(RECORD)))
    text = text if data.draw(st.integers(0, 3)) else json.dumps(RECORD)
    content = text.encode()
    (folder / FILE).write_bytes(content if data.draw(st.booleans()) else data.draw(damaged(content)))
    with refused(FILE):
        record = Record.read(folder)
        assert record.key.digest
        record.write(folder)
        assert Record.read(folder) == record
        run_path(folder, record.key)


@cases(60)
@given(value=VALUES | st.binary() | st.text())
def test_any_json(value: object) -> None:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    with refused("some.json"):
        json.dumps(read_json(data, "some.json"), allow_nan=False).encode()


@cases(60)
@given(content=altered_toml(CARD))
def test_cards(folder: Path, content: bytes) -> None:
    (folder / "card.toml").write_bytes(content)
    with refused("card.toml"):
        card = read_card(folder / "card.toml")
        assert parse_card(card.model_dump_json().encode()) == card


@cases(60)
@given(content=altered_toml((ROOT / "leaderboard" / "board.toml").read_text()))
def test_rules_of_a_board(folder: Path, content: bytes) -> None:
    (folder / "board.toml").write_bytes(content)
    with refused("board.toml"):
        assert Rules.read(folder / "board.toml").deciding


@cases(60)
@given(content=altered_toml(STUDY))
def test_studies(folder: Path, content: bytes) -> None:
    (folder / "study.toml").write_bytes(content)
    with refused("study.toml"):
        study = Study.read(folder / "study.toml")
        assert all(cell.file for cell in study.cells)
        assert study.matching("*")


def test_toml_nested_too_deeply(folder: Path) -> None:
    """The standard library's reader runs out of stack."""
    path = folder / "deep.toml"
    path.write_text("title = " + "[" * 3000)
    for read in (read_card, Rules.read, Study.read):
        with pytest.raises(CorruptFile, match=r"deep\.toml is nested too deeply"):
            read(path)
