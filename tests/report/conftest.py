"""``cfbench report`` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import exit_code
from reported import Run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """What ``cfbench report`` prints on stdout when all is well."""

    def call(*arguments: str | Path) -> str:
        assert exit_code("report", *arguments) == 0
        return capsys.readouterr().out

    return call


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Run:
    """What it prints on stderr, in one line, when it ends with exit code 2."""

    def call(*arguments: str | Path) -> str:
        assert exit_code("report", *arguments) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith("error: ")
        assert output.err.count("\n") == 1
        return output.err

    return call
