"""The command line, called inside the test's own process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from cfbench.cli import main


@contextmanager
def _arguments(values: list[str]) -> Iterator[None]:
    with mock.patch.object(sys, "argv", ["cfbench", *values]), mock.patch.dict("os.environ", {"COLUMNS": "200"}):
        yield


def exit_code(*arguments: str | Path) -> int:
    """Run ``cfbench`` with these arguments; what it prints is left to pytest's ``capsys``."""
    with _arguments(list(map(str, arguments))):
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0


class Command:
    """One command of the command line, and what it prints."""

    def __init__(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.name = name
        self._capsys = capsys

    def printed(self, *arguments: str | Path) -> str:
        """What it prints on stdout when all is well."""
        assert exit_code(self.name, *arguments) == 0
        return self._capsys.readouterr().out

    def refused(self, *arguments: str | Path) -> str:
        """What it prints on stderr, in one line, when it ends with exit code 2."""
        assert exit_code(self.name, *arguments) == 2
        output = self._capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith("error: ")
        assert output.err.count("\n") == 1
        return output.err
