"""``cfbench bench``: how fast methods and the harness are on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfbench.cli.options import DeviceOption, TaskOption, dataset_of, shown, usable_device
from cfbench.errors import CfbenchError

if TYPE_CHECKING:
    from cfbench.bench import Speed


def bench(
    method: Annotated[
        list[str] | None, typer.Option("--method", help="Registered name, or path/to/file.py:Class; repeatable.")
    ] = None,
    task: TaskOption = None,
    queries: Annotated[int, typer.Option(min=1, help="Queries a round; at most a batch of the method.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each method.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Also write the report, as Markdown, to this file.")] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Time start-up, harness and methods: batches against single images, in turns, so that other load cancels out.

    Without --method all registered methods are timed that can run on the task.
    """
    import torch
    from rich.console import Console

    from cfbench import bench as timing
    from cfbench.cli.options import make_method
    from cfbench.files import write_text
    from cfbench.markdown import markdown_table, number
    from cfbench.provenance import version
    from cfbench.registry import METHODS
    from cfbench.task import Task

    chosen = Task(dataset_of(task), device=usable_device(device))
    console = Console(stderr=True)
    text = (
        f"# Speed\n\nMade by `cfbench bench`; {chosen.key}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, cfbench {version()}.\n\n"
    )
    with console.status("start-up and harness"):
        started = [(f"`cfbench {' '.join(each)}`", timing.command_seconds(each)) for each in (["--help"], ["list"])]
        made, scored = timing.harness_seconds(chosen, queries=len(chosen))
        peak = timing.peak_gflops()
    rows = [(what, f"{seconds:.2f} s") for what, seconds in started]
    rows += [
        ("the harness, beside explaining", f"{1000 * made:.2f} ms a query"),
        ("scoring", f"{1000 * scored:.2f} ms a query"),
        ("fastest convolution", f"{peak:.0f} GFLOP/s"),
    ]
    text += markdown_table(("what", "least time"), rows) + "\n"
    speeds: list[Speed] = []
    for name in dict.fromkeys(method or METHODS.names()):
        with console.status(name):
            try:
                speeds.append(timing.method_speed(make_method(name, None), chosen, queries=queries, rounds=rounds))
            except CfbenchError as error:
                print(f"left out: {name}: {error}", file=sys.stderr)
    lines = [
        (
            f"`{each.method}`",
            str(each.queries),
            number(each.single),
            number(each.batched),
            f"{sorted(each.ratios)[len(each.ratios) // 2]:.2f} ({each.ratios[0]:.2f} to {each.ratios[-1]:.2f})",
            number(each.gflop),
            f"{100 * each.gflops / peak:.0f} %",
            f"{100 * made * each.batched:.1f} %",
        )
        for each in speeds
    ]
    heads = (
        "method",
        "n",
        "one at a time, queries a second",
        "together",
        "ratio (range)",
        "GFLOP a query",
        "of the fastest convolution",
        "harness, of explaining",
    )
    text += markdown_table(heads, lines)
    print(text)
    if out is not None:
        write_text(out, text)
        print(f"report: {shown(out)}")
    print("next: cfbench evaluate --method NAME --limit 100, whose record has seconds and calls a query")
