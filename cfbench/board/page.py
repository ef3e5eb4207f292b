"""The board as one self-contained HTML page: data, styles and scripts inside, nothing fetched, no code made of data."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "web"

STYLES = ("page.css", "controls.css", "table.css", "plot.css", "gallery.css", "overview.css", "card.css")
SCRIPTS = (
    "data.js",
    "dom.js",
    "state.js",
    "columns.js",
    "filters.js",
    "table.js",
    "plot.js",
    "overview.js",
    "pictures.js",
    "gallery.js",
    "compare.js",
    "card.js",
    "about.js",
    "download.js",
    "main.js",
)
"""Parts of one script, in the order in which they need each other."""

ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}
"""Characters of JSON that could end the element it is in."""


def build(data: dict[str, Any]) -> str:
    """The page of a board.

    The page's policy allows the one style and the one script whose hashes it names and pictures within it, and forbids
    its script to make markup of strings, so that nothing in ``data`` can become an element, a style or code.

    Args:
        data: what :mod:`cfbench.board.data` makes of the records.

    Raises:
        ValueError: a number of ``data`` is not finite.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    style, script = (_joined(names) for names in (STYLES, SCRIPTS))
    policy = {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html.j2").render(
        policy=Markup("; ".join(f"{name} {value}" for name, value in policy.items())),
        style=Markup(style),
        script=Markup(script),
        data=Markup(json.dumps(data, allow_nan=False, separators=(",", ":")).translate(ESCAPES)),
    )


def _joined(names: tuple[str, ...]) -> str:
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
