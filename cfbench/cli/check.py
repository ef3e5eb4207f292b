"""``cfbench check``: the conformance suite on one adapter."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cfbench.cli.options import DeviceOption, SetOption, TaskOption, make_method, make_task

FAILED = 1
"""Exit code where a check fails."""


def check(
    method: Annotated[str, typer.Argument(help="path/to/file.py:Class, or a registered name.")],
    settings: SetOption = None,
    task: TaskOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Check that an adapter keeps the contract: form, determinism, batches, order, resuming, isolated failures.

    The parameters that the adapter names in ``quick`` are used, and eight queries of the task. Exit code 1 means that a
    check failed.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.markup import escape
    from rich.table import Table

    from cfbench.errors import CfbenchError
    from cfbench.testing import CHECKS

    instance = make_method(method, settings, quick=True)
    chosen = make_task(task, "near", "test", device)
    parameters = instance.parameters()
    console = Console()
    given = ", ".join(f"{name}={value!r}" for name, value in parameters.items()) or "no parameters"
    console.print(f"[bold]{escape(instance.name)}[/bold] on {chosen.key}, {escape(given)}", soft_wrap=True)
    table = Table("", "check", "what it asks for", "seconds", box=None, pad_edge=False)
    failed = 0
    with Live(table, console=console, refresh_per_second=4, transient=True):
        for each in CHECKS:
            started = time.perf_counter()
            sign, text = "[green]✓[/green]", escape((each.__doc__ or "").strip().partition("\n")[0])
            try:
                each(lambda: type(instance).create(parameters), chosen)
            except Exception as error:
                expected = isinstance(error, AssertionError | CfbenchError)
                reason = str(error) if expected else f"{type(error).__name__}: {error}"
                sign, text, failed = "[red]✗[/red]", f"[red]{escape(reason)}[/red]", failed + 1
            table.add_row(sign, each.__name__.replace("_", " "), text, f"{time.perf_counter() - started:.1f}")
    console.print(table)
    if failed:
        console.print(f"{failed} of {len(CHECKS)} checks failed")
        raise typer.Exit(FAILED)
    console.print(f"all {len(CHECKS)} checks passed\nnext: cfbench evaluate --method {method}", soft_wrap=True)
