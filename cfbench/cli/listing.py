"""``cfbench list``: what there is."""

from __future__ import annotations

import inspect
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfbench.cli.options import shown
from cfbench.errors import InvalidParameter

if TYPE_CHECKING:
    from rich.console import Console

    from cfbench.metrics.base import Metric


class Kind(StrEnum):
    """What can be listed."""

    methods = "methods"
    tasks = "tasks"
    metrics = "metrics"


def list_things(
    kind: Annotated[Kind | None, typer.Argument(help="methods, tasks or metrics; by default all.")] = None,
    name: Annotated[str | None, typer.Argument(help="One of them, in detail.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="With tasks NAME: save a contact sheet of its queries, a row a class, as PNG.")
    ] = None,
) -> None:
    """List methods, tasks and metrics, or explain one of them."""
    from rich.console import Console
    from rich.table import Table

    from cfbench.registry import DATASETS, METHODS, METRICS

    console = Console()
    registries = {Kind.methods: METHODS, Kind.tasks: DATASETS, Kind.metrics: METRICS}
    if sheet is not None and not (kind is Kind.tasks and name):
        raise InvalidParameter("--sheet shows the queries of a task; say: cfbench list tasks NAME --sheet FILE.png")
    if kind is Kind.tasks and name:
        _show_task(console, name, sheet)
        return
    if kind and name:
        _explain_one(console, kind, registries[kind].load(_base(kind, name)))
        return
    if kind is Kind.metrics:
        _by_family(console)
        console.print("next: cfbench list metrics NAME: what it rewards, how it is fooled, what it needs")
        return
    for each in [kind] if kind else list(Kind):
        table = Table("name", "what it is", title=each.value, title_justify="left", box=None, pad_edge=False)
        for registered in registries[each].names():
            table.add_row(f"[bold]{registered}[/bold]", _plain(registries[each].summary(registered)))
        console.print(table, "")
    console.print(f"next: cfbench list {kind or Kind.methods} NAME, or cfbench evaluate --method NAME")


def _by_family(console: Console) -> None:
    """All metrics, a table a family."""
    from rich.table import Table

    from cfbench.metrics.base import FAMILIES
    from cfbench.registry import METRICS

    metrics = {name: METRICS.load(name) for name in METRICS.names()}
    width = max(map(len, metrics))
    for family in FAMILIES:
        table = Table(box=None, pad_edge=False, show_header=False, title=family, title_justify="left")
        table.add_column(min_width=width)
        for name, metric in metrics.items():
            if metric.family == family:
                better = "↑" if metric.direction == "higher" else "↓"
                table.add_row(f"[bold]{name}[/bold]", better, _plain(METRICS.summary(name)))
        console.print(table, "")


WORDS = {
    "verdicts": "a classifier or its predictions",
    "stages": "readable stages of the extractor",
    "reference": "held-out real images",
    "truth": "a renderer that knows the factors",
    "objects": "a data set that says where the object is",
    "costs": "a run of cfbench",
    "autoencoder": "autoencoders of all and of each class",
}


def _base(kind: Kind, name: str) -> str:
    """What is registered, of a score's name with its feature space."""
    return name.partition("[")[0] if kind is Kind.metrics else name


def _needs(metric: type[Metric]) -> str:
    needed = [WORDS.get(need, need.replace("-", " ")) for need in metric.needs]
    if metric.resource:
        needed.append(metric.resource)
    if metric.protocol:
        needed.append(f"runs of the protocol {metric.protocol}")
    return ", ".join(needed) or "the images alone"


def _plain(text: str) -> str:
    """A docstring as running text, a line a paragraph."""
    return "\n\n".join(" ".join(part.split()) for part in text.replace("``", "").split("\n\n"))


def _show_task(console: Console, name: str, sheet: Path | None) -> None:
    from rich.markup import escape

    from cfbench.cli.task_card import show_task, write_sheet
    from cfbench.registry import load_dataset

    dataset = load_dataset(name)
    console.print(f"[bold]{dataset.name}[/bold]\n{escape(_plain(inspect.getdoc(type(dataset)) or ''))}\n")
    show_task(console, dataset)
    if sheet is None:
        console.print(f"\nnext: cfbench list tasks {name} --sheet queries.png, or cfbench prepare {name}")
    else:
        write_sheet(dataset, sheet)
        console.print(f"\npicture: {shown(sheet)}", soft_wrap=True)


def _explain_one(console: Console, kind: Kind, found: type) -> None:
    from rich.markup import escape

    facts: dict[str, object] = {}
    following = ""
    if kind is Kind.methods:
        facts = {
            "family": found.family,  # type: ignore[attr-defined]
            "access": f"{found.needs.access}, {found.needs.track}",  # type: ignore[attr-defined]
            "parameters": ", ".join(f"{p.name}={p.default!r}" for p in inspect.signature(found).parameters.values())
            or "none",
            "citation": found.citation,  # type: ignore[attr-defined]
        }
        following = f"cfbench evaluate --method {found.name}"  # type: ignore[attr-defined]
    else:
        facts = {name: getattr(found, name) for name in ("family", "version", "unit")}
        facts |= {"better": found.direction, "bounds": "{} to {}".format(*found.bounds)}  # type: ignore[attr-defined]
        facts |= {"fewest queries": found.rule or found.minimum, "needs": _needs(found)}  # type: ignore[attr-defined]
        facts |= {"scored on": " and ".join(found.subsets), "citation": found.citation}  # type: ignore[attr-defined]
        following = "cfbench evaluate --method NAME" + (f" --protocol {found.protocol}" if found.protocol else "")  # type: ignore[attr-defined]
    console.print(f"[bold]{found.name}[/bold]\n{escape(_plain(inspect.getdoc(found) or ''))}\n")  # type: ignore[attr-defined]
    for fact, value in facts.items():
        console.print(f"[dim]{fact}:[/dim] {escape(str(value))}")
    console.print(f"\nnext: {following}")
