"""``cfbench doctor``: what works here, and what cannot be computed and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pydantic",
    "safetensors",
    "lpips",
    "pytorch-fid",
)


def doctor() -> None:
    """Show versions, device, caches, the state of every frozen file, and what cannot be computed here."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import torch
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from cfbench import provenance
    from cfbench.files import cache_dir
    from cfbench.registry import DATASETS
    from cfbench.weights import OFFICIAL

    console = Console()
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_row("cfbench", provenance.version())
    facts.add_row("python", f"{platform.python_version()} on {platform.platform()}")
    for package in PACKAGES:
        try:
            facts.add_row(package, version(package))
        except PackageNotFoundError:
            facts.add_row(package, "[red]missing[/red]: reinstall cfbench-vision")
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    facts.add_row("processor", f"{provenance.device_name('cpu')}, {torch.get_num_threads()} torch threads")
    facts.add_row("CUDA device", accelerator)
    facts.add_row("cache", str(cache_dir()))
    facts.add_row("torch cache", torch.hub.get_dir())
    for weights in OFFICIAL:
        problem = weights.problem()
        facts.add_row(weights.file, "verified" if problem is None else f"[yellow]{escape(problem)}[/yellow]")
    console.print(facts, "")

    sound = [_examine(console, name) for name in DATASETS.names()]
    console.print("\nnext: cfbench prepare, or cfbench evaluate --method NAME")
    if not all(sound):
        raise typer.Exit(2)


def _examine(console: Console, name: str) -> bool:
    """Print what is there of a task and what it cannot compute; False if a packaged file is missing or damaged."""
    from rich.markup import escape

    from cfbench.errors import CfbenchError
    from cfbench.judges import Judges
    from cfbench.registry import DATASETS
    from cfbench.scoring import metrics_for
    from cfbench.task import Task

    dataset = DATASETS.load(name)()
    try:
        absent = dataset.absent()
        if absent:
            console.print(f"[yellow]task {dataset.key}: {escape(absent)}[/yellow]", soft_wrap=True)
            return True
        files = [*dataset.manifest.splits.values(), *dataset.manifest.networks.values()]
        for file in files:
            dataset.verify(file)
        console.print(f"task {dataset.key}: {len(files)} files verified")
        judges = Judges.of(Task(dataset))
    except CfbenchError as error:
        console.print(f"[red]task {dataset.key}: {escape(str(error))}[/red]", soft_wrap=True)
        return False
    reasons: dict[str, list[str]] = {}
    for metric in metrics_for(judges):
        if metric.protocol is None and (reason := metric.blocked()):
            reasons.setdefault(reason, []).append(metric.key)
    for reason, metrics in reasons.items():
        names = escape(", ".join(metrics))
        console.print(f"  cannot compute [bold]{names}[/bold]: {escape(reason)}", soft_wrap=True)
    return True
