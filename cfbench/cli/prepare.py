"""``cfbench prepare``: check or rebuild what a task is made of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfbench.cli.options import INTERRUPTED, DeviceOption, dataset_of, shown, usable_device
from cfbench.errors import InvalidParameter, UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from cfbench.dataset import Dataset, RawData
    from cfbench.from_folder import Plan
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
    from_folder: Annotated[
        Path | None,
        typer.Option(help="Make a task of your own pictures: DIR/class/*.png, or DIR/train/class and DIR/test/class."),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            help="With --from-folder: what to explain, as net.pt (TorchScript), file.py:factory or timm:NAME (trained "
            "here, from its weights if NAME has a tag); by default a small network is trained."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="With --from-folder: the task's name; by default DIR's.")] = None,
    size: Annotated[int, typer.Option(help="With --from-folder: pixels a side that pictures are scaled to.")] = 64,
    channels: Annotated[
        int | None, typer.Option(min=1, max=3, help="With --from-folder: 1 or 3; by default as the pictures are.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="With --from-folder: of each network; by default by their number.")
    ] = None,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="With --from-folder: leave out pictures that cannot be read.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(envvar="CFBENCH_DATA", help="Folder of the raw files; else the usual places.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for what is rebuilt; by default the user's cache.")] = None,
    device: DeviceOption = "auto",
    official: Annotated[bool, typer.Option("--official", help="Download the weights of LPIPS, FID and CMMD.")] = False,
) -> None:
    """Verify the frozen files of a task, rebuild them, or make a task of your own pictures with --from-folder."""
    from rich.console import Console

    from cfbench.from_folder import plan_task

    console = Console()
    if official:
        from cfbench.weights import OFFICIAL

        for weights in OFFICIAL:
            console.print(f"{weights.file}: {weights.download()}")
    if from_folder is not None:
        if task or train or splits:
            raise InvalidParameter("--from-folder makes a new task: it goes without TASK, --train and --splits")
        plan = plan_task(
            from_folder,
            classifier=classifier,
            name=name,
            side=size,
            channels=channels,
            epochs=epochs,
            skip_damaged=skip_damaged,
            out=out,
        )
        task = _make(console, plan, seconds=checkpoint_seconds, device=usable_device(device))
    elif classifier or name or channels or epochs or skip_damaged:
        raise InvalidParameter(
            "--classifier, --name, --channels, --epochs and --skip-damaged go with --from-folder; say: "
            "cfbench prepare --from-folder DIR"
        )
    if (only or resume) and not train:
        option, value = ("--only", " NAME") if only else ("--resume", "")
        raise InvalidParameter(f"{option} goes with --train; say: cfbench prepare TASK --train {option}{value}")
    dataset = dataset_of(task)
    unknown = set(only or []) - set(dataset.networks)
    if unknown:
        raise UnknownName(f"unknown network {min(unknown)!r} of {dataset.key}; it has {', '.join(dataset.networks)}")
    if train or splits:
        folder, raw = out or dataset.built_folder, dataset.raw(data)
        packaged = dataset.manifest if (dataset.folder / "manifest.json").is_file() else None
        if train:
            names = only or list(dataset.networks)
            _train(
                console,
                dataset,
                names,
                raw,
                folder,
                packaged,
                resume=resume,
                seconds=checkpoint_seconds,
                device=usable_device(device),
            )
        if splits:
            _draw(console, dataset, raw, folder, packaged)
        console.print(f"written to {shown(folder)}", soft_wrap=True)
    else:
        for line in dataset.install(data):
            console.print(line, soft_wrap=True)
        _verify(console, dataset)
    console.print(f"next: cfbench evaluate --method NAME --task {task or dataset.name}", soft_wrap=True)


def _make(console: Console, plan: Plan, *, seconds: float, device: str) -> str:
    """Build a task of the user's own pictures; what ``--task`` takes for it."""
    from rich.markup import escape

    from cfbench.from_folder import build_task, weak_judges
    from cfbench.registry import user_task_folder

    facts = plan.facts
    without = {"damaged": facts.skipped, "copies": facts.duplicates}
    left_out = "".join(f", {count} {what} left out" for what, count in without.items() if count)
    console.print(
        f"{facts.training + facts.held_out} pictures{left_out}: {facts.training} to train on, "
        f"{facts.held_out} held out; {len(facts.classes)} classes: {escape(', '.join(facts.classes))}",
        soft_wrap=True,
    )
    with _progress() as report:
        dataset = build_task(plan, report=report, seconds=seconds, device=device)
    console.print(f"task {dataset.key} is made", soft_wrap=True)
    weak = ", ".join(f"{name} {accuracy:.0%}" for name, accuracy in weak_judges(dataset).items())
    if weak:
        console.print(
            f"[yellow]weak judges: {weak} of held-out pictures right, the classifier more; give more --epochs "
            "(and another --name) or more pictures[/yellow]",
            soft_wrap=True,
        )
    return dataset.name if plan.folder == user_task_folder(dataset.name).resolve() else shown(plan.folder)


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
    device: str,
) -> None:
    from cfbench.preparation import train_networks, unfinished

    for name in names:
        if unfinished(folder, name):
            how = "going on from it" if resume else "starting anew; --resume would go on from it"
            console.print(f"{name}: there is a checkpoint in {shown(folder)}: {how}", soft_wrap=True)
    with _progress() as report:
        built = train_networks(
            dataset, names, raw, folder, report=report, resume=resume, seconds=seconds, device=device
        )
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
    """A bar a network, with its loss and the time to go; Ctrl-C says how to go on."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    text = TextColumn("{task.fields[text]}")
    bars = Bars(*columns, text, console=Console(stderr=True), speed_estimate_period=3600)

    def report(name: str) -> Progress:
        row = bars.add_task(name, total=1.0, text="")
        return lambda share, text: bars.update(row, completed=share, text=text)

    try:
        with bars:
            yield report
    except KeyboardInterrupt:
        print("stopped; what was trained is kept: the same command goes on (--train with --resume)", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
