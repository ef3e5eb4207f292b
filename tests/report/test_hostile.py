"""Names of others are shown as they are, on every page and in every table."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from published import board_folder, shares, write_entry
from reported import BOARD, QUERIES, N, Run


class _Elements(HTMLParser):
    """Names and attributes of all elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</td><script>alert(2)</script>",
    "a|b`c`*d*\\_$\\input{x}$",
    "% & # ~ ^ \u202eow\u2028ned",
    "$\\frac{$",
)


def test_names_of_others_are_shown_as_they_are(run: Run, tmp_path: Path) -> None:
    records = board_folder(tmp_path)
    write_entry(records, "pgd", shares(N, 0.2, 0), table=QUERIES)
    for index, name in enumerate(HOSTILE):
        write_entry(records, "m", shares(N, 0.5, index), key={"parameters": {"p": name}}, table=QUERIES)
    printed = run(records, "--out", tmp_path / "report")
    assert "\u202e" not in printed
    folder = tmp_path / "report" / BOARD
    html = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    elements = _Elements(html).found
    assert {"script", "base", "iframe", "svg"} & {tag for tag, _ in elements} == set()
    assert all((attributes["src"] or "").startswith("data:image/png") for tag, attributes in elements if tag == "img")
    assert [name for _, attributes in elements for name in attributes if name.startswith("on")] == []
    assert "m p=&lt;img src=x onerror=" in html
    markdown = (folder / "table.md").read_text(encoding="utf-8")
    assert "<" not in markdown
    assert {line.count(" | ") for line in markdown.splitlines()} == {len(markdown.splitlines()[0].split(" | ")) - 1}
    latex = (folder / "table.tex").read_text(encoding="utf-8")
    assert "\\input{" not in latex
    assert "m p=a\\textbar{}b`c`*d*\\textbackslash{}\\_\\$" in latex
    for path in (folder / "table.tex", folder / "table.md", folder / "overview.txt", tmp_path / "report" / "report.md"):
        assert {"\u202e", "\u2028"}.isdisjoint(path.read_text(encoding="utf-8"))
