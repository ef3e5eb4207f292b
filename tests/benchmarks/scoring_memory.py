"""Peak memory of scoring runs of different lengths, in fresh processes.

    OMP_NUM_THREADS=1 python tests/benchmarks/scoring_memory.py [--small 10000] [--large 100000]

Writes ``reports/scoring-memory.md``. ``--only N`` is what the fresh processes run.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from cfbench import scoring
from cfbench.judges import Judges
from cfbench.registry import load_dataset
from cfbench.task import Task

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from synthetic_runs import synthetic  # noqa: E402


def peak_memory(count: int) -> dict[str, float]:
    """Peak of this process in megabytes after scoring ``count`` synthetic counterfactuals, and seconds."""
    task = Task(load_dataset("fashion-mnist"))
    started = time.perf_counter()
    scoring.score(synthetic(task, count), Judges.of(task))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"megabytes": peak, "seconds": time.perf_counter() - started}


def memory(small: int, large: int) -> list[str]:
    rows, found = [], {}
    for count in (small, large):
        command = [sys.executable, __file__, "--only", str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[count] = json.loads(done.stdout.splitlines()[-1])
        print(count, found[count], flush=True)
        rows.append(f"| {count:,} | {found[count]['megabytes']:.0f} | {found[count]['seconds']:.0f} |")
    slope = (found[large]["megabytes"] - found[small]["megabytes"]) / (large - small)
    full = found[small]["megabytes"] + slope * (100_000 - small)
    ratio = found[large]["megabytes"] / found[small]["megabytes"]
    said = f"{large:,} images take {ratio:.2f} times the memory of {small:,}, {1000 * slope:.2f} kB an image more"
    if large != 100_000:
        said += f"; at that slope 100,000 would take {full:.0f} MB, {full / found[small]['megabytes']:.2f} times"
    each = (found[large]["seconds"] - found[small]["seconds"]) / (large - small)
    start = found[small]["seconds"] - each * small
    said += f". Seconds on a line through both: {start:.1f} and {1000 * each:.2f} ms an image"
    return ["| images | peak MB | seconds |", "|---|---|---|", *rows, "", f"{said}."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("small", 10_000), ("large", 100_000), ("only", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(peak_memory(options.only)))
        return
    parts = [
        "# Memory of scoring",
        "",
        "Synthetic 28 x 28 counterfactuals from a generator through `cfbench.scoring.score` with the judges of "
        f"`fashion-mnist`, each in a fresh process, no metric left out; torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads.",
        "",
        *memory(options.small, options.large),
        "",
        f"Made by `python tests/benchmarks/scoring_memory.py --small {options.small} --large {options.large}`.",
    ]
    (ROOT / "reports" / "scoring-memory.md").write_text("\n".join(parts) + "\n")
    print("\n".join(parts))


if __name__ == "__main__":
    main()
