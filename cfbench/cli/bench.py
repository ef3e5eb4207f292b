"""``cfbench bench``: how fast methods and the harness are on this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from cfbench.cli.options import DeviceOption, TaskOption, dataset_of, shown, usable_device
from cfbench.errors import CfbenchError

if TYPE_CHECKING:
    from rich.console import Console

    from cfbench.bench import Speed
    from cfbench.other_tools import Contest
    from cfbench.task import Task

SCORED = 250
"""Images that other tools score: as many as cfbench keeps features of."""

VECTORS = (500, 5000)
"""Sizes of the sets whose Frechet distance is timed, below and above the number of features."""


def bench(
    method: Annotated[
        list[str] | None, typer.Option("--method", help="Registered name, or path/to/file.py:Class; repeatable.")
    ] = None,
    task: TaskOption = None,
    queries: Annotated[int, typer.Option(min=1, help="Queries a round; at most a batch of the method.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each method.")] = 3,
    others: Annotated[
        bool, typer.Option("--others", help="Also against pytorch-fid, lpips and torchmetrics; takes minutes.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the report, as Markdown, to this file.")] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Time start-up, harness and methods: batches against single images, in turns, so that other load cancels out.

    Without --method all registered methods are timed that can run on the task.
    """
    import torch
    from rich.console import Console

    from cfbench.bench import peak_gflops
    from cfbench.files import write_text
    from cfbench.markdown import markdown_table
    from cfbench.provenance import version
    from cfbench.registry import METHODS
    from cfbench.task import Task

    chosen = Task(dataset_of(task), device=usable_device(device))
    console = Console(stderr=True)
    with console.status("start-up and harness"):
        made, rows = _harness(chosen)
        peak = peak_gflops()
    parts = [
        f"# Speed\n\nMade by `cfbench bench`; {chosen.key}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, cfbench {version()}.\n",
        markdown_table(("what", "least time"), [*rows, ("fastest convolution", f"{peak:.0f} GFLOP/s")]),
        _methods(_speeds(method or METHODS.names(), chosen, queries, rounds, console), peak, made),
    ]
    if others:
        parts.append(_against_others(chosen, rounds, console))
    text = "\n".join(parts)
    print(text)
    if out is not None:
        write_text(out, text)
        print(f"report: {shown(out)}")
    print("next: cfbench evaluate --method NAME --limit 100, whose record has seconds and calls a query")


def _harness(task: Task) -> tuple[float, list[tuple[str, str]]]:
    """Seconds a query beside explaining, and rows of the first table."""
    from cfbench.bench import command_seconds, harness_seconds

    started = [(f"`cfbench {each}`", f"{command_seconds([each]):.2f} s") for each in ("--help", "list")]
    made, scored = harness_seconds(task, queries=len(task))
    return made, [
        *started,
        ("the harness, beside explaining", f"{1000 * made:.2f} ms a query"),
        ("scoring", f"{1000 * scored:.2f} ms a query"),
    ]


def _speeds(names: Sequence[str], task: Task, queries: int, rounds: int, console: Console) -> list[Speed]:
    from rich.progress import track

    from cfbench.bench import method_speed
    from cfbench.cli.options import make_method

    speeds = []
    for name in track([*dict.fromkeys(names)], "methods", console=console, transient=True):
        try:
            speeds.append(method_speed(make_method(name, None), task, queries=queries, rounds=rounds))
        except CfbenchError as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
    return speeds


def _methods(speeds: Sequence[Speed], peak: float, harness: float) -> str:
    from cfbench.markdown import markdown_table, number

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
    lines = [
        (
            f"`{each.method}`",
            str(each.queries),
            number(each.single),
            number(each.batched),
            _spread(each.ratios),
            number(each.gflop),
            f"{100 * each.gflops / peak:.0f} %",
            f"{100 * harness * each.batched:.1f} %",
        )
        for each in speeds
    ]
    return markdown_table(heads, lines)


def _against_others(task: Task, rounds: int, console: Console) -> str:
    """A section a comparison, or why there is none."""
    from cfbench.other_tools import AGAIN, FIRST, frechet_contest, scoring_contest

    with console.status("other tools"):
        try:
            scored = scoring_contest(task, images=SCORED, rounds=rounds)
            distances = [(size, frechet_contest(images=size, rounds=rounds)) for size in VECTORS]
        except (ImportError, TypeError) as error:
            return f"Other tools cannot be timed here: {error}.\n"
    parts = [
        f"## Scoring {SCORED} images\n\nFrechet and perceptual distance with random weights in place of the official "
        "ones, structural similarity, L1, L2, flip rate and oracle agreement: in one pass, with intervals, or one tool "
        "after the other. Features of the queries are the same for every method and kept after the first run.\n",
        _contest(scored, (FIRST, AGAIN)),
    ]
    for size, contest in distances:
        parts += [
            f"## Frechet distance of two sets of {size} vectors, moments included\n",
            _contest(contest, ("cfbench",)),
        ]
    return "\n".join(parts)


def _contest(contest: Contest, ours: Sequence[str]) -> str:
    """Medians, and how much longer the others take together, round by round."""
    from cfbench.markdown import markdown_table, number

    theirs = {tool: seconds for tool, seconds in contest.seconds.items() if tool not in ours}
    together = [sum(seconds) for seconds in zip(*theirs.values(), strict=True)]
    rows = [
        (
            tool,
            number(median(contest.seconds[tool])),
            _spread([other / own for other, own in zip(together, contest.seconds[tool], strict=True)]),
        )
        for tool in ours
    ]
    if len(theirs) > 1:
        theirs = {"the others, together": together, **theirs}
    rows += [(tool, number(median(seconds)), "") for tool, seconds in theirs.items()]
    return markdown_table(("", "seconds", "the others' time over it"), rows)


def _spread(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
