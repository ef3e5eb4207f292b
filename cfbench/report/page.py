"""The pages of a report: Markdown beside the figures, and one HTML file that has everything in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from cfbench.board.data import described
from cfbench.board.rules import Rules
from cfbench.files import write_text
from cfbench.markdown import escaped
from cfbench.provenance import version
from cfbench.report.build import SUFFIXES, Section, Written

FOLDER = Path(__file__).parent / "web"

MARKDOWN = "report.md"
HTML = "report.html"


def write_pages(sections: Sequence[Section], rules: Rules, out: Path) -> tuple[Path, Path]:
    """Write ``report.md`` and ``report.html`` of all boards into ``out``; gives their paths.

    Raises:
        StorageError: they cannot be written.
    """
    markdown, html = out / MARKDOWN, out / HTML
    write_text(markdown, _markdown(sections, rules, out))
    write_text(html, _html(sections, rules))
    return markdown, html


def _title(rules: Rules) -> str:
    return f"Report of the {rules.title}"


def _definitions(rules: Rules) -> dict[str, str]:
    """What ranks, the front and the aggregate are, in the board's own words."""
    said = described(rules)
    aggregate = said["aggregate"]
    return {
        "Ranks": said["ranking"],
        "Front": said["pareto_text"],
        aggregate["label"].capitalize(): aggregate["definition"],
    }


def _markdown(sections: Sequence[Section], rules: Rules, out: Path) -> str:
    parts = [
        f"# {escaped(_title(rules))}\n",
        f"Made by `cfbench report` {version()}; every number is in the CSV files.\n",
    ]
    parts += [f"- {escaped(name)}: {escaped(text)}\n" for name, text in _definitions(rules).items()]
    for section in sections:
        parts += [f"## {escaped(section.board.name)}\n", section.table.markdown(), f"{escaped(section.table.notes)}\n"]
        for figure in section.figures:
            where = figure.stem.relative_to(out).as_posix()
            files = ", ".join(f"[{suffix[1:]}](<{where}{suffix}>)" for suffix in SUFFIXES)
            parts += [
                f"### {escaped(figure.title)}\n",
                f"![{escaped(figure.title)}](<{where}.png>)\n",
                f"{escaped(figure.caption)} ({files})\n",
            ]
        if section.left_out:
            parts += [
                "### Left out\n",
                "".join(f"- {escaped(x.title)}: {escaped(x.reason)}\n" for x in section.left_out),
            ]
    return "\n".join(parts)


def _html(sections: Sequence[Section], rules: Rules) -> str:
    """The page; its policy allows its own style and pictures within it, and no scripts at all."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    style = (FOLDER / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("report.html.j2").render(
        policy=Markup(policy),
        style=Markup(style),
        title=_title(rules),
        version=version(),
        definitions=_definitions(rules),
        sections=sections,
        picture=_picture,
    )


def _picture(figure: Written) -> str:
    data = (figure.stem.parent / f"{figure.stem.name}.png").read_bytes()
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
