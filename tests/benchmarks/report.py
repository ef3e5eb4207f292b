"""Time to draw a report from many records, made up of random query values.

    python tests/benchmarks/report.py [--records 100] [--tasks 6] [--seeds 1] [--queries 1000]

Prints the seconds of each stage, of one thread. Records have all metrics of the board and galleries, which are not
drawn, as the tasks are made up.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parent))

from published import board_folder

from cfbench.report.build import draw_boards
from cfbench.report.page import write_pages
from cfbench.report.records import read_all, rules_of
from leaderboard import timed, write_records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("records", 100), ("tasks", 6), ("seeds", 1), ("queries", 1000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        records, out = board_folder(Path(temporary)), Path(temporary) / "report"
        write_records(records, options.records, options.tasks, options.seeds, options.queries)
        rules = rules_of([records], records)
        with timed("all"):
            with timed("read"):
                entries = read_all([records])
            with timed("draw"):
                sections = list(draw_boards(entries, rules, out))
            with timed("pages"):
                _, html = write_pages(sections, rules, out)
        figures, size = sum(len(section.figures) for section in sections), html.stat().st_size / 1e6
        print(f"{len(entries)} records, {len(sections)} boards, {figures} figures, page {size:.1f} MB")


if __name__ == "__main__":
    main()
