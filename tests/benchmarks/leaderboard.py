"""Time to build the leaderboard's page from many records, made up of random query values.

    python tests/benchmarks/leaderboard.py [--records 1000] [--tasks 6] [--seeds 1] [--queries 1000]

Prints the seconds of each stage, of one thread, and the size of the page. Records have all metrics of the board, and
galleries of eight noisy pictures of 28 pixels a side, which do not compress.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from cfbench.board import page
from cfbench.board.boards import boards_of
from cfbench.board.data import board_data
from cfbench.board.entries import read_entries
from cfbench.board.publishing import gallery_png
from cfbench.board.rules import Rules

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from published import board_folder, shares, write_entry

SENTINELS = ("pgd", "nearest-unlike")


@contextmanager
def timed(what: str) -> Iterator[None]:
    wall, processor = time.perf_counter(), time.process_time()
    yield
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{what:10s} {wall:6.1f} s, {processor:6.1f} s of the processor", flush=True)


def write_records(folder: Path, count: int, tasks: int, seeds: int, queries: int) -> None:
    rules = Rules.beside(folder)
    random = np.random.default_rng(0)
    sets = {name: 0.5 for name in rules.metrics if name not in rules.columns}
    for index in range(count // seeds):
        task, method = index % tasks, index // tasks
        name = SENTINELS[method] if method < len(SENTINELS) else f"method-{method}"
        for seed in range(seeds):
            values = {name: random.random(queries) for name in rules.columns if name != rules.headline}
            agreed = shares(queries, random.uniform(0.2, 0.9), index * seeds + seed)
            key = {"task": f"task-{task}@v1", "seed": seed}
            made = write_entry(folder, name, agreed, values=values, scores=sets, key=key, seconds=random.random())
            (made / "gallery.png").write_bytes(gallery_png(torch.randint(0, 256, (8, 1, 28, 28), dtype=torch.uint8)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("records", 1000), ("tasks", 6), ("seeds", 1), ("queries", 1000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        records = board_folder(Path(temporary))
        write_records(records, options.records, options.tasks, options.seeds, options.queries)
        rules = Rules.beside(records)
        with timed("all"):
            with timed("read"):
                entries = read_entries(records)
            with timed("rank"):
                boards = boards_of(entries, rules)
            with timed("data"):
                data = board_data(boards, rules)
            with timed("page"):
                built = page.build(data)
        print(f"{len(entries)} records, {len(data['rows'])} rows, {len(built) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
