"""What a board of ImageNet's size would take, method by method, from finished runs at two sizes of image.

    python tests/benchmarks/scale.py runs --small fashion-mnist@v1 --large isic@v1 > reports/scale.md

Seconds and memory are those in the records of complete runs, storage the bytes of their shards. What grows with the
number of pixels is taken to go on as it did from the small to the large images.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

from cfbench.markdown import markdown_table, number
from cfbench.record import Record
from cfbench.registry import load_dataset

QUERIES = 50_000
PIXELS = 224 * 224
WORKERS = 64


@dataclass(frozen=True)
class Run:
    """Seconds, megabytes of memory and kilobytes stored, of a query."""

    seconds: float
    memory: float
    stored: float


def runs_below(folder: Path, task: str) -> dict[str, Run]:
    """The complete runs on a task, by method."""
    found = {}
    for path in sorted(folder.rglob("run.json")):
        record = Record.read(path.parent)
        if record.key.task != task or record.status != "complete" or record.key.variant or record.cost is None:
            continue
        stored = sum(file.stat().st_size for file in path.parent.glob("counterfactuals/*.npz"))
        count = record.queries.done
        found[record.key.method] = Run(record.cost.seconds_per_query, record.cost.peak_mb or 0, stored / count / 1e3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--small", default="fashion-mnist@v1")
    parser.add_argument("--large", default="isic@v1")
    options = parser.parse_args()
    small, large = (runs_below(options.runs, task) for task in (options.small, options.large))
    shapes = [load_dataset(task).image_shape for task in (options.small, options.large)]
    pixels = [math.prod(shape[1:]) for shape in shapes]
    rows = []
    for name in sorted(small.keys() & large.keys()):
        first, second = small[name], large[name]
        power = math.log(second.seconds / first.seconds) / math.log(pixels[1] / pixels[0])
        seconds = second.seconds * (PIXELS / pixels[1]) ** max(power, 0)
        hours = seconds * QUERIES / 3600
        storage = second.stored * PIXELS / pixels[1] * QUERIES / 1e6
        cells = (first.seconds, second.seconds, power, seconds, hours, hours / WORKERS, second.memory / 1e3, storage)
        rows.append((f"`{name}`", *map(number, cells)))
    heads = (
        "method",
        f"s a query, {shapes[0][1]} px",
        f"{shapes[1][1]} px",
        "power of pixels",
        "224 px, projected",
        "hours of one core",
        f"of {WORKERS}",
        f"memory a worker at {shapes[1][1]} px, GB",
        "storage at 224 px, GB",
    )
    print("# The same at the size of ImageNet\n")
    print(f"{QUERIES:,} queries of 224 pixels a side, projected from complete runs on")
    print(f"{options.small} and {options.large}, one thread each, networks of this benchmark's size. A classifier such")
    print("as a ResNet-50 (4.1 GFLOP an image) costs far more than these; replace the seconds by those of")
    print(
        "`cfbench evaluate --limit 100` on your own task before you plan. Scoring comes on top: linear in the number of"
    )
    print(
        "queries ([scoring-memory.md](scoring-memory.md)), with memory that stays flat; scheduling takes under 50 µs a"
    )
    print(
        "shard ([grid.md](grid.md)). Run folders grow by the storage given, seeds and protocols multiply all of it.\n"
    )
    print(markdown_table(heads, rows))
    print("Made by `python tests/benchmarks/scale.py runs`.")


if __name__ == "__main__":
    main()
