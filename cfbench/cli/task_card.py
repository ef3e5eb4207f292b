"""The card of a task: what it is, what it weighs, how good its networks are, what its queries look like."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cfbench.cli.options import shown
from cfbench.errors import MissingResource

if TYPE_CHECKING:
    from rich.console import Console

    from cfbench.dataset import Dataset


def show_task(console: Console, dataset: Dataset) -> None:
    """Print the facts of a task and the quality of its networks."""
    from rich.markup import escape
    from rich.table import Table

    facts = {
        "version": dataset.version,
        "classes": f"{len(dataset.classes)}: {', '.join(dataset.classes)}",
        "image shape": " x ".join(map(str, dataset.image_shape)),
        "splits": _splits(dataset),
        "size": _size(dataset),
        "images": _images(dataset),
        "licence": dataset.licence,
        "citation": dataset.citation,
        "homepage": dataset.homepage,
    }
    for fact, value in facts.items():
        console.print(f"[dim]{fact}:[/dim] {escape(value)}", soft_wrap=True)
    table = Table("network", "role", "architecture", "weights", "minutes", "quality", box=None, pad_edge=False)
    built = dataset.built() if _manifest_is_there(dataset) else []
    for name, spec in dataset.networks.items():
        if name not in built:
            table.add_row(name, spec.role, spec.description, "", "", "[yellow]not built[/yellow]")
            continue
        entry = dataset.entry(name)
        quality = ", ".join(f"{key} {value:.4f}" for key, value in entry.quality.items())
        minutes = f"{entry.seconds / 60:.1f}"
        table.add_row(name, spec.role, spec.description, f"{entry.parameters:,}", minutes, quality)
    console.print("", table)


def _manifest_is_there(dataset: Dataset) -> bool:
    return (dataset.folder / "manifest.json").is_file()


def _splits(dataset: Dataset) -> str:
    """How many images each split has; how many it will have at most, where it is not drawn yet."""
    try:
        counts = {split: str(len(dataset.table(split))) for split in dataset.split_sizes}
    except MissingResource:
        counts = {split: f"at most {count}" for split, count in dataset.split_sizes.items()}
    return ", ".join(f"{count} {split}" for split, count in counts.items())


def _size(dataset: Dataset) -> str:
    if not _manifest_is_there(dataset):
        return "nothing is built"
    files = [*dataset.manifest.splits.values(), *dataset.manifest.networks.values()]
    return f"{sum(file.bytes for file in files) / 1e6:.1f} MB in {shown(dataset.folder)}"


def _images(dataset: Dataset) -> str:
    anew = f"cfbench prepare {dataset.name} --train"
    return dataset.absent() or f"here; the published ones, from which networks are trained anew, by: {anew}"


def write_sheet(dataset: Dataset, path: Path, *, columns: int = 10) -> None:
    """Save a contact sheet of test queries: a row a class, as the query table orders them.

    Raises:
        MissingResource: the images are not here; says how to get them.
    """
    from cfbench.figures import contact_sheet
    from cfbench.files import write_atomic

    queries = dataset.split("test")
    rows = {name: queries.images[queries.labels == label][:columns] for label, name in enumerate(dataset.classes)}
    figure = contact_sheet(rows, title=f"{dataset.key}: test queries by class", columns=columns)
    write_atomic(path, partial(figure.savefig, dpi=150, format="png"))
