"""How often the intervals of precision, recall, density and coverage hold their expectation at their n.

Writes reports/intervals-neighbours.md: ``python tests/benchmarks/coverage_neighbours.py [--runs 400] [--draws 3000]``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from neighbour_coverage import METRICS, SETTINGS, covered  # noqa: E402


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
        f"vectors (the mean of {options.draws} draws), the real vectors fixed. Recall and coverage are never",
        "narrower than Wilson's interval, so that they err to the wide side.",
        "",
        "| made | real | dimensions | scale | shift | law | " + " | ".join(names) + " |",
        "|---|---|---|---|---|---|" + "---|" * len(names),
    ]
    for setting in SETTINGS:
        shares = covered(setting, runs=options.runs, draws=options.draws)
        law = "Student, 5" if setting.heavy else "normal"
        facts = f"{setting.n} | {setting.real} | {setting.dimensions} | {setting.scale} | {setting.shift} | {law}"
        lines.append(f"| {facts} | " + " | ".join(f"{shares[name]:.3f}" for name in names) + " |")
    text = "\n".join(lines) + "\n"
    (ROOT / "reports" / "intervals-neighbours.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
