"""Pages in a real headless Chromium, watched for what they must not do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
"""What the browser is called on the search path; the first that is there is taken."""


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser that is installed; where there is none, or no driver for it, the test is skipped."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'cfbench-vision[test]'")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"needs one of {', '.join(NAMES)} on the path, such as Debian's chromium")
    with driver.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program)
        yield browser
        browser.close()


class Watched:
    """A page of a file, and all that it complained of, asked for or opened."""

    def __init__(self, browser: Any, file: Path, address: str = "", **context: Any) -> None:
        self.page = browser.new_context(**{"viewport": {"width": 1440, "height": 900}} | context).new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", self._refuse)
        self.page.set_default_timeout(15_000)
        self.page.goto(f"{file.as_uri()}{address}")
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def _refuse(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    @property
    def fetched(self) -> list[str]:
        """Addresses beside the page's own file and the pictures inside it."""
        return [address for address in self.requests if not address.startswith(("file:", "data:", "blob:"))]

    def texts(self, selector: str) -> list[str]:
        """Text of all elements that the selector finds, as it is shown."""
        return [text.strip() for text in self.page.locator(selector).all_inner_texts()]
