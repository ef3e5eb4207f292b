"""The command line, called inside the test's own process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

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
