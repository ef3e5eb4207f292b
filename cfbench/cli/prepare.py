"""``cfbench prepare``: check or rebuild what a task is made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfbench.cli.options import dataset_of, shown
from cfbench.errors import InvalidParameter, UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from cfbench.dataset import Dataset, RawData
    from cfbench.manifest import Manifest
    from cfbench.session import Progress


def prepare(
    task: Annotated[str | None, typer.Argument(help="Task; by default the packaged one.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train the networks from the raw files.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="With --train: only this network; repeatable.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="With --train: go on where a training was killed.")] = False,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0.0, help="With --train: longest time between two checkpoints.")
    ] = 60.0,
    splits: Annotated[bool, typer.Option("--splits", help="Draw the splits again from the raw files.")] = False,
    data: Annotated[
        Path | None, typer.Option(envvar="CFBENCH_DATA", help="Folder of the raw files; else the usual places.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for what is rebuilt; by default the user's cache.")] = None,
    official: Annotated[bool, typer.Option("--official", help="Download the weights of LPIPS, FID and CMMD.")] = False,
) -> None:
    """Verify the frozen files of a task, or rebuild its networks and splits and compare them."""
    from rich.console import Console

    console = Console()
    if official:
        from cfbench.weights import OFFICIAL

        for weights in OFFICIAL:
            console.print(f"{weights.file}: {weights.download()}")
    if (only or resume) and not train:
        option = "--only NAME" if only else "--resume"
        raise InvalidParameter(f"{option} goes with --train; say: cfbench prepare TASK --train {option}")
    dataset = dataset_of(task)
    unknown = set(only or []) - set(dataset.networks)
    if unknown:
        raise UnknownName(f"unknown network {min(unknown)!r} of {dataset.key}; it has {', '.join(dataset.networks)}")
    if train or splits:
        folder, raw = out or dataset.built_folder, dataset.raw(data)
        packaged = dataset.manifest if (dataset.folder / "manifest.json").is_file() else None
        if train:
            names = only or list(dataset.networks)
            _train(console, dataset, names, raw, folder, packaged, resume=resume, seconds=checkpoint_seconds)
        if splits:
            _draw(console, dataset, raw, folder, packaged)
        console.print(f"written to {shown(folder)}", soft_wrap=True)
    else:
        for line in dataset.install(data):
            console.print(line, soft_wrap=True)
        _verify(console, dataset)
    console.print(f"next: cfbench evaluate --method NAME --task {dataset.name}")


def _verify(console: Console, dataset: Dataset) -> None:
    from rich.table import Table

    table = Table("file", "KB", "sha256", "quality", title=f"{dataset.key}: {shown(dataset.folder)}", box=None)
    for file in dataset.manifest.splits.values():
        dataset.verify(file)
        table.add_row(file.file, f"{file.bytes / 1000:.0f}", file.sha256[:12], "")
    for entry in dataset.manifest.networks.values():
        dataset.verify(entry)
        quality = ", ".join(f"{name} {value:.4f}" for name, value in entry.quality.items())
        table.add_row(entry.file, f"{entry.bytes / 1000:.0f}", entry.sha256[:12], f"{entry.architecture}: {quality}")
    console.print(table)
    absent = [name for name in dataset.networks if name not in dataset.manifest.networks]
    total = sum(file.bytes for file in [*dataset.manifest.splits.values(), *dataset.manifest.networks.values()])
    console.print(f"all files verified, {total / 1e6:.1f} MB" + (f"; not built: {', '.join(absent)}" if absent else ""))


def _train(
    console: Console,
    dataset: Dataset,
    names: list[str],
    raw: RawData,
    folder: Path,
    packaged: Manifest | None,
    *,
    resume: bool,
    seconds: float,
) -> None:
    from cfbench.preparation import train_networks, unfinished

    for name in names:
        if unfinished(folder, name):
            how = "going on from it" if resume else "starting anew; --resume would go on from it"
            console.print(f"{name}: there is a checkpoint in {shown(folder)}: {how}", soft_wrap=True)
    with _progress() as report:
        built = train_networks(dataset, names, raw, folder, report=report, resume=resume, seconds=seconds)
    for name, entry in built.items():
        quality = ", ".join(f"{key} {value:.4f}" for key, value in entry.quality.items())
        console.print(f"{name}: {quality}, {entry.seconds:.0f} s; {_compare(packaged, name, entry.sha256)}")


def _draw(console: Console, dataset: Dataset, raw: RawData, folder: Path, packaged: Manifest | None) -> None:
    from cfbench.preparation import freeze_splits, frozen_network

    [classifier] = dataset.names("classifier")
    manifest = freeze_splits(dataset, raw, frozen_network(dataset, classifier, folder), folder)
    for name, file in manifest.splits.items():
        same = packaged is not None and packaged.splits.get(name) == file
        console.print(f"{name}: {'identical to' if same else 'differs from'} the packaged file")


def _compare(packaged: Manifest | None, name: str, sha256: str) -> str:
    if packaged is None or name not in packaged.networks:
        return "no packaged network to compare with"
    entry = packaged.networks[name]
    quality = ", ".join(f"{key} {value:.4f}" for key, value in entry.quality.items())
    return "identical to the packaged network" if entry.sha256 == sha256 else f"packaged network has {quality}"


@contextmanager
def _progress() -> Iterator[Callable[[str], Progress]]:
    """A bar a network, with its loss and the time to go."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, TextColumn("{task.fields[text]}"), console=Console(stderr=True)) as bars:

        def report(name: str) -> Progress:
            row = bars.add_task(name, total=1.0, text="")
            return lambda share, text: bars.update(row, completed=share, text=text)

        yield report
