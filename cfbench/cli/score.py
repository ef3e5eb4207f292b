"""``cfbench score``: scores again from stored images, or scores of images made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfbench.cli.options import DeviceOption, TaskOption, make_task, shown, usable_device
from cfbench.errors import InvalidParameter

if TYPE_CHECKING:
    from cfbench.judges import Member
    from cfbench.record import Score

FORM = "a TorchScript file, or file.py:factory"


def score(
    run: Annotated[Path | None, typer.Argument(help="Folder of a finished run.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Instead: counterfactuals made elsewhere, npz or a folder of PNGs.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(help="Their queries, paired by position (npz) or by name (PNGs).")
    ] = None,
    targets: Annotated[
        Path | None, typer.Option(help="CSV of name and target; else an array targets in an npz file.")
    ] = None,
    task: TaskOption = None,
    classifier: Annotated[str | None, typer.Option(help=f"The network explained: {FORM}.")] = None,
    oracle: Annotated[list[str] | None, typer.Option(help=f"An independent classifier: {FORM}; repeatable.")] = None,
    network: Annotated[
        list[str] | None, typer.Option(metavar="ROLE=SPEC", help=f"Another judge, such as extractor={FORM}.")
    ] = None,
    reference: Annotated[Path | None, typer.Option(help="Held-out real images with labels, npz.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the method in the record.")] = None,
    out: Annotated[Path, typer.Option(help="Folder below which imported scores go.")] = Path("runs"),
    device: DeviceOption = "cpu",
) -> None:
    """Score a run again from its stored 8-bit images, or score counterfactuals that were made elsewhere.

    Elsewhere: give --images and --queries, and who judges: --task for a task's networks, --classifier and --oracle for
    your own. Nothing that is read is unpickled.
    """
    if (run is None) == (images is None) or (images is None) != (queries is None):
        raise InvalidParameter("give either a run folder, or --images and --queries together")
    if run is not None:
        _score_run(run, task, device)
        return
    assert images is not None
    assert queries is not None
    specs = [("classifier", classifier)] if classifier else []
    specs += [("oracle", spec) for spec in oracle or []]
    specs += [_role_and_spec(text) for text in network or []]
    _score_import(images, queries, targets, task, specs, reference, name or images.stem, out, device)


def _role_and_spec(text: str) -> tuple[str, str]:
    role, separator, spec = text.partition("=")
    if not separator:
        raise InvalidParameter(f"--network {text!r} is not of the form ROLE=SPEC, such as extractor=net.pt")
    return role, spec


def _score_import(
    images: Path,
    queries: Path,
    targets: Path | None,
    task: str | None,
    specs: list[tuple[str, str]],
    reference: Path | None,
    name: str,
    out: Path,
    device: str,
) -> None:
    from rich.console import Console

    from cfbench.cli.tables import print_record
    from cfbench.image_sets import open_images
    from cfbench.imports import Imported, judges_of_import, score_import
    from cfbench.user_networks import user_networks

    held_out = None if reference is None else open_images(reference)
    imported = Imported.paired(open_images(images), open_images(queries), targets=targets, reference=held_out)
    members: list[Member] = []
    for role, spec in specs:
        members += user_networks(role, spec, taken=[member.name for member in members])
    chosen = None if task is None else make_task(task, "near", "test", device)
    judges = judges_of_import(imported, members, chosen, usable_device(device))
    key = "imported" if chosen is None else chosen.key
    record, folder = score_import(imported, judges, name=name, out=out, task=key)
    console = Console()
    print_record(console, record)
    console.print(f"\nrecord and query table: {shown(folder)}", soft_wrap=True)
    console.print(
        f"next: cfbench compare {shown(folder)} OTHER, with another method's images on the same queries", soft_wrap=True
    )


def _score_run(run: Path, task: str | None, device: str) -> None:
    from rich.console import Console

    from cfbench.cli.tables import print_record
    from cfbench.recording import rescore
    from cfbench.store import RunFolder

    folder = RunFolder(run)
    key = folder.key()
    chosen = make_task(task or key.task, key.targets, key.split, device, key.classifier)
    record, before = rescore(folder, chosen)
    console = Console()
    print_record(console, record)
    console.print(f"\nscores: {_compared(record.scores, before)}\nrecord: {shown(run / 'run.json')}", soft_wrap=True)
    query = chosen.queries["query_id"][0]
    console.print(f"next: cfbench explain --method {key.method} --query {query}")


def _compared(now: dict[str, dict[str, Score]], before: dict[str, dict[str, Score]]) -> str:
    """How the scores relate to the ones that the record had."""
    if now == before:
        return "the same, bit for bit, as before"
    if {name: set(subsets) for name, subsets in now.items()} != {
        name: set(subsets) for name, subsets in before.items()
    }:
        return "other metrics than before; run.json has the new ones"
    changes = {
        name: abs(score.value - old.value) / max(abs(old.value), 1e-12)
        for name, subsets in now.items()
        for score, old in ((subsets[subset], before[name][subset]) for subset in subsets)
        if score.value is not None and old.value is not None
    }
    most = max(changes, key=lambda name: changes[name])
    return f"changed, most {most} by a relative {changes[most]:.1g}; run.json has the new ones"
