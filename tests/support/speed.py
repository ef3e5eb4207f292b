"""What benchmarks of speed share: ways that take turns, and a report of which each script writes its own section."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cfbench.provenance import device_name


@dataclass(frozen=True)
class Turns:
    """Seconds of each way, round by round, and the last images of each."""

    seconds: dict[str, list[float]]
    made: dict[str, Tensor]

    def rate(self, way: str) -> str:
        """Images a second, the median of the rounds."""
        return f"{len(self.made[way]) / statistics.median(self.seconds[way]):.2f}"

    def ratio(self, slow: str, fast: str) -> float:
        """How many times as fast, the median of the rounds."""
        return statistics.median(self._ratios(slow, fast))

    def times(self, slow: str, fast: str) -> str:
        """The same in words, with the least and the most."""
        ratios = self._ratios(slow, fast)
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"

    def _ratios(self, slow: str, fast: str) -> list[float]:
        return [a / b for a, b in zip(self.seconds[slow], self.seconds[fast], strict=True)]


def timed(make: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """What it gives, and the seconds that it takes: processor time of one thread, wall time of several."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    started = clock()
    return make(), clock() - started


def take_turns(ways: Mapping[str, Callable[[], Tensor]], rounds: int, label: str) -> Turns:
    """Call the ways one after the other in every round, so that ratios hold when the machine's speed drifts.

    Each way gives images ``[N, C, H, W]``. See :func:`conditions` for what is measured.
    """
    turns = Turns({way: [] for way in ways}, {})
    for _ in range(rounds):
        for way, make in ways.items():
            turns.made[way], seconds = timed(make)
            turns.seconds[way].append(seconds)
        print(label, {way: round(found[-1], 2) for way, found in turns.seconds.items()}, flush=True)
    return turns


def reached(aim: float, than: str, times: Mapping[str, float]) -> str:
    """The sentence that says which methods are ``aim`` times as fast ``than`` something, and which are not."""
    there = [label for label, ratio in times.items() if ratio >= aim]
    short = [label for label in times if label not in there]
    said = f"{aim:g} times as fast as {than}, the aim: {', '.join(there) or 'none'}."
    return f"{said} Less: {', '.join(short)}." if short else said


def flips(classifier: Callable[[Tensor], Tensor], made: Tensor, targets: Tensor) -> str:
    """Share of 8-bit images that the classifier gives their target."""
    with torch.no_grad():
        return f"{float((classifier(made / 255).argmax(1) == targets).float().mean()):.2f}"


def conditions(images: int, rounds: int) -> str:
    """The sentence that says under what conditions the figures of a section were measured."""
    threads = torch.get_num_threads()
    clock = "processor time of 1 thread" if threads == 1 else f"wall time of {threads} threads"
    return (
        f"{images} validation queries of fashion-mnist, {clock}, {device_name('cpu')}, torch {torch.__version__}; "
        f"rounds in one run: {rounds}, of which medians, and ratios round by round (least to most)."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_section(path: Path, title: str, parts: Sequence[str]) -> None:
    """Replace the section ``## title`` of a report by paragraphs and tables, or put it at the end; the rest stays."""
    section = "\n\n".join([f"## {title}", *parts]) + "\n"
    head, *others = re.split(r"^(?=## )", path.read_text(), flags=re.MULTILINE)
    titles = [other.splitlines()[0] for other in others]
    if f"## {title}" in titles:
        others[titles.index(f"## {title}")] = section
    else:
        others.append(section)
    path.write_text("\n\n".join(part.strip() for part in [head, *others]) + "\n")
    print(section)


def one_by_one(make: Callable[[Tensor, Tensor], Tensor], images: Tensor, targets: Tensor) -> Tensor:
    """Images of queries ``[B, C, H, W]`` that are handed over one after the other."""
    return torch.cat([make(*each) for each in zip(images.split(1), targets.split(1), strict=True)])
