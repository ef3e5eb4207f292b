"""How often the 95 % intervals of single metrics and of distances between two samples hold the truth.

    python tests/benchmarks/coverage_others.py [--runs 1000] [--slow-runs 400]

Writes ``reports/intervals-others.md``. ``--slow-runs`` samples go to the jackknifes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from other_coverage import (  # noqa: E402
    cmmd_of_two,
    compared_coverage,
    correlation_difference,
    frechet_of_two,
    kernel_of_two,
    least_oracle,
    share_held,
    split_coverage,
    students,
)
from populations import Pair  # noqa: E402


def row(*cells: object) -> str:
    line = "| " + " | ".join(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |"
    print(line, flush=True)
    return line


def table(*columns: str) -> list[str]:
    return ["", row(*columns), "|" + "---|" * len(columns)]


def least_part(runs: int) -> list[str]:
    lines = ["## `oracle_agreement_min`: the least of several rates", ""]
    lines += [
        "Wilson's limits with unequal tails; oracles' answers to one query correlate.",
        *table("rates", "correlation", "n", "covers"),
    ]
    for rates in (
        (0.5,) * 3,
        (0.3, 0.6, 0.9),
        (0.4, 0.4, 0.8),
        (0.9,) * 3,
        (0.1,) * 3,
        (0.5,) * 5,
        (0.4, 0.4, 0.8, 0.8, 0.8),
    ):
        for correlation in (0.0, 0.5):
            for n in (100, 1000):
                lines.append(row(", ".join(map(str, rates)), correlation, n, least_oracle(rates, correlation, n, runs)))
    return lines


def students_part(runs: int) -> list[str]:
    lines = ["## `boundary_gain`: three students on either side, shared images", ""]
    lines += ["*Spread*: variance of the students' skill, where an image's ease has variance 1."]
    lines += table("gain of level", "spread", "images", "covers")
    for gain in (0.0, 0.3):
        for between in (0.0, 0.003, 0.03):
            for images in (300, 1000):
                lines.append(row(gain, between, images, students(gain, between, images, runs)))
    return lines


def correlation_part(runs: int, draws: int = 2000) -> list[str]:
    lines = ["## `correlation_difference`: plain jackknife, about the expectation at n", ""]
    lines += [
        "*Data*, *changes*: correlation between attributes, and between their changes. Where both are alike the sum"
    ]
    lines += [f"is nothing but noise and the jackknife too wide. Expectation from {draws} draws."]
    lines += table("n", "attributes", "data", "changes", "covers")
    for n, count, data, changes in (
        (100, 5, 0.3, 0.0),
        (300, 5, 0.3, 0.1),
        (100, 40, 0.3, 0.1),
        (1000, 5, 0.5, 0.1),
        (1000, 5, 0.0, 0.0),
    ):
        lines.append(row(n, count, data, changes, correlation_difference(n, count, data, changes, runs, draws)))
    return lines


def samples_part(runs: int) -> list[str]:
    lines = ["## Distances where the real images are a second sample: `split_fd`, `kd`, `cmmd`", ""]
    lines += [
        "Populations as in intervals-sets.md; *alike* ones have equal covariances and means 0.1 apart in each of 16",
        "dimensions, *equal* ones distance 0.",
    ]
    lines += table("distance", "populations", "made", "real", "covers")
    kinds = {"apart": (0.35, 0.1), "alike": (0.0, 0.1), "equal": (0.0, 0.0)}
    for name, (strength, shift) in kinds.items():
        pair = Pair("gaussian", 16, strength, shift)
        for made, real in ((320, 1000), (1000, 1000)):
            lines.append(
                row("Frechet", name, made, real, share_held(frechet_of_two(pair, made, real, runs), pair.frechet))
            )
        for made, real in ((200, 500), (500, 1000)):
            lines.append(
                row("kernel", name, made, real, share_held(kernel_of_two(pair, made, real, runs), pair.kernel))
            )
    for shift in (0.3, 0.1):
        truth, found = cmmd_of_two(shift, 200, 500, runs)
        lines.append(row("CMMD", f"shifted by {shift}", 200, 500, share_held(found, truth)))
    return lines


def classes_part(runs: int) -> list[str]:
    lines = ["## Real images of two classes: `split_fd`, and its difference between two methods", ""]
    lines += [
        "Made vectors of 8 features, two classes, against a mixture of held-out ones; *shift*: between their means in",
        "every feature. The difference is that of `cfbench compare`, on shared queries, about these held-out images.",
    ]
    lines += table("figure", "shift", "made", "real", "covers")
    for shift, made, real in ((0.3, 200, 400), (0.3, 1000, 1000), (0.0, 200, 400)):
        for name, share in split_coverage(made, real, shift, runs).items():
            lines.append(row(name, shift, made, real, share))
    for shift, made in ((0.3, 200), (0.3, 1000)):
        lines.append(row("difference of two split_fd", shift, made, 400, compared_coverage(made, 400, shift, runs)))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--slow-runs", type=int, default=400)
    options = parser.parse_args()
    lines = ["# Intervals of single metrics and of two samples", ""]
    lines += [
        f"Share of samples whose nominal 95 % interval holds the truth: {options.runs} a row, {options.slow_runs}",
        "for the jackknifes (standard errors .007 and .011 at .95).",
        "",
    ]
    path = ROOT / "reports" / "intervals-others.md"
    for part in (
        least_part(options.runs),
        students_part(options.runs),
        correlation_part(options.slow_runs),
        samples_part(options.slow_runs),
        classes_part(options.slow_runs),
    ):
        lines += [*part, ""]
    command = f"coverage_others.py --runs {options.runs} --slow-runs {options.slow_runs}"
    lines.append(f"Made by `python tests/benchmarks/{command}`.")
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
