"""The page of a made-up board, open in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boards import board_data
from browser import Watched, chromium

from cfbench.board.page import build

Open = Callable[..., Watched]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def board() -> dict[str, Any]:
    """20 methods on a task whose pictures are shown and on one whose are not."""
    return board_data(20, 2)


@pytest.fixture(scope="session")
def file(board: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(build(board), encoding="utf-8")
    return path


@pytest.fixture
def visit(browser: Any, file: Path) -> Iterator[Open]:
    """Open the page; whatever it was made to do, it must not complain, fetch anything or open a dialog."""
    opened: list[Watched] = []

    def visited(address: str = "", path: Path = file, **context: Any) -> Watched:
        opened.append(Watched(browser, path, address, **context))
        return opened[-1]

    yield visited
    for watched in opened:
        watched.page.context.close()
        assert watched.complaints == []
        assert watched.fetched == []
        assert watched.dialogs == []
