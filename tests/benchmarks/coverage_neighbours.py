"""How often the intervals of precision, recall, density and coverage hold their expectation at their n.

Writes reports/intervals-neighbours.md: ``python tests/benchmarks/coverage_neighbours.py [--runs 400] [--draws 3000]``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from neighbour_coverage import METRICS, SETTINGS, Covered, covered  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--draws", type=int, default=3000)
    options = parser.parse_args()
    names = [kind.name for kind in METRICS]
    lines = [
        "# Intervals of precision, recall, density and coverage",
        "",
        f"Share of {options.runs} simulated runs whose 95 % interval holds the expectation at this number of made",
        f"vectors (the mean of {options.draws} draws), the real vectors fixed; in brackets how many runs had one,",
        "where not all. Precision is a rate with Wilson's interval, whose exact coverage is between .84 and 1.00 for",
        "single rates near 0 and 1, and .95 on average over rates (intervals-means.md). Coverage has the jackknife's",
        "in logarithmic odds, and none where fewer than five real vectors are within reach, or without. Density has",
        "the bootstrap's. Recall has none: the jackknife's variance is too large for a figure whose vectors change",
        "each other's reach (Efron and Stein 1981); its interval would hold in .988 and .995 of the runs of two.",
        "",
        "| made | real | dimensions | scale | shift | law | " + " | ".join(names) + " |",
        "|---|---|---|---|---|---|" + "---|" * len(names),
    ]
    for setting in SETTINGS:
        shares = covered(setting, runs=options.runs, draws=options.draws)
        law = "Student, 5" if setting.heavy else "normal"
        facts = f"{setting.n} | {setting.real} | {setting.dimensions} | {setting.scale} | {setting.shift} | {law}"
        cells = [_cell(shares[name], options.runs) for name in names]
        lines.append(f"| {facts} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    lines += [
        "",
        f"Made by `python tests/benchmarks/coverage_neighbours.py --runs {options.runs} --draws {options.draws}`.",
    ]
    text = "\n".join(lines) + "\n"
    (ROOT / "reports" / "intervals-neighbours.md").write_text(text)


def _cell(found: Covered, runs: int) -> str:
    if found.given == 0:
        return "none given"
    return f"{found.share:.3f}" + ("" if found.given == runs else f" ({found.given})")


if __name__ == "__main__":
    main()
