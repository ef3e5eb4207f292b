"""A board whose every string is an attack: nothing runs, nothing is loaded, nothing becomes an element."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from boards import PAYLOADS, board_data, hostile
from browser import Watched

from cfbench.board.page import build

Open = Callable[..., Watched]

FOREIGN = """() => {
  const markup = document.querySelectorAll(
    "script, style, base, iframe, object, embed, link, form, meta[http-equiv], [onerror], [onload], [style*=display]");
  const pictures = [...document.images].filter((image) => image.src && !image.src.startsWith("data:image/png;base64,"));
  const links = [...document.links].filter((link) => !/^(https?:|file:.*#main$)/.test(link.href));
  return [[...markup].map((element) => element.localName).join(" "), pictures.length, links.length];
}"""

OURS = ["meta link style script script", 0, 0]
"""What the page has of its own: policy, icon, one style, data and one script."""


@pytest.mark.parametrize("everywhere", [False, True], ids=["strings-of-submissions", "every-string"])
def test_no_string_becomes_more_than_text(visit: Open, tmp_path: Path, everywhere: bool) -> None:
    data = hostile(board_data(10, 2), everywhere=everywhere)
    path = tmp_path / "index.html"
    path.write_text(build(data), encoding="utf-8")
    watched = visit(path=path)
    page = watched.page
    assert page.evaluate(FOREIGN) == OURS
    for view in ("ranking", "overview", "gallery", "compare", "about"):
        page.get_by_role("button", name=view.capitalize(), exact=True).click()
        assert page.locator(f"#view-{view}").is_visible()
        page.wait_for_timeout(100)
        assert page.evaluate(FOREIGN) == OURS
    page.get_by_role("button", name="Ranking", exact=True).click()
    names = page.locator("#table .name")
    assert names.count() == 10
    for at in range(names.count()):
        names.nth(at).click()
        assert page.locator("#card h2").text_content() == names.nth(at).text_content()
        assert page.evaluate(FOREIGN) == OURS
        page.keyboard.press("Escape")
    for button in page.locator("#table thead button").all()[:6]:
        button.hover()
        button.click()
        assert page.evaluate(FOREIGN) == OURS


@pytest.mark.parametrize("payload", PAYLOADS)
def test_addresses_are_text_too(visit: Open, payload: str) -> None:
    names = ("search", "task", "card", "sort", "columns", "x", "a", "family", "score", "by")
    watched = visit("#" + urlencode(dict.fromkeys(names, payload)))
    assert watched.page.evaluate(FOREIGN) == OURS


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "file:///etc/passwd"]
)
def test_only_web_addresses_become_links(visit: Open, tmp_path: Path, address: str) -> None:
    data = board_data(4, 1)
    row = data["rows"][3]
    row["submission"]["code"] = address
    row["citation"] = f"Read {address}, or https://example.org/paper."
    path = tmp_path / "index.html"
    path.write_text(build(data), encoding="utf-8")
    watched = visit(f"#card={row['id']}", path)
    assert watched.page.locator("#card a").evaluate_all("links => links.map((link) => link.href)") == [
        "https://example.org/paper"
    ]
    assert address in watched.page.locator("#card").inner_text()


def test_the_policy_stops_a_string_that_got_through(visit: Open) -> None:
    """Markup by string, inline handlers and requests fail even for code of the page's own."""
    watched = visit()
    tried: dict[str, Any] = watched.page.evaluate(
        """async () => {
          const outcome = {};
          try { document.body.innerHTML = "<p>"; outcome.markup = true; } catch { outcome.markup = false; }
          const button = document.createElement("button");
          try { button.setAttribute("onclick", "window.ran = true"); } catch { /* refused at once */ }
          button.click();
          const script = document.createElement("script");
          script.append("window.ran = true");
          document.body.append(script);
          script.remove();
          outcome.ran = "ran" in window;
          outcome.fetched = await fetch("data:text/plain,x").then(() => true, () => false);
          return outcome;
        }"""
    )
    assert tried == {"markup": False, "ran": False, "fetched": False}
    assert any("Content Security Policy" in complaint for complaint in watched.complaints)
    watched.complaints.clear()
