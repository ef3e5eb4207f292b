"""``cfbench report`` as a user runs it."""

from __future__ import annotations

import pytest
from commands import Command
from reported import Run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """What ``cfbench report`` prints on stdout when all is well."""
    return Command("report", capsys).printed


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Run:
    """What it prints on stderr, in one line, when it ends with exit code 2."""
    return Command("report", capsys).refused
