"""How often the 95 % intervals of cfbench hold the truth, and what the alternatives would do.

    python tests/benchmarks/coverage_means.py [--runs 4000] [--slow-runs 2000]

Writes ``reports/intervals-means.md``. ``--slow-runs`` tables go to the intervals over several seeds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
from scipy.stats import bootstrap

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from interval_coverage import (  # noqa: E402
    EFFECTS,
    MEANS,
    bootstrap_limits,
    crossed_coverage,
    crossed_rejections,
    mean_coverage,
    paired_mean_coverage,
    paired_rate_coverage,
    queries_only,
    sign_flip_rejections,
    student_limits,
    wilson_coverage,
)

from cfbench.paired import LEAST_DIFFERING, LEAST_PAIRS  # noqa: E402
from cfbench.stats import LEAST, RESAMPLES, Floats, Interval, bootstrap_mean  # noqa: E402

SIZES = (50, 100, 300)


def scipy_bootstrap(method: str) -> Callable[[Floats], Interval]:
    def interval(values: Floats) -> Interval:
        found = bootstrap((values,), np.mean, n_resamples=RESAMPLES, batch=100, method=method, rng=0)
        return float(found.confidence_interval.low), float(found.confidence_interval.high)

    return interval


def row(*cells: object) -> str:
    return "| " + " | ".join(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |"


def table(*columns: str) -> list[str]:
    return ["", row(*columns), "|" + "---|" * len(columns)]


def wilson_part() -> list[str]:
    rates = np.linspace(0.0005, 0.9995, 1000)
    lines = [
        "## Rates: Wilson",
        "",
        "Exact (binomial sums). Coverage oscillates with the rate; like Newcombe (1998) we",
    ]
    lines += ["average it over rates, here 1,000 equally spaced ones, and give the least beside it."]
    lines += table("n", "mean", "least")
    for n in (20, 50, 100, 300, 1000):
        coverage = wilson_coverage(n, rates)
        lines.append(row(n, float(coverage.mean()), float(coverage.min())))
    return lines


def means_part(runs: int) -> list[str]:
    lines = [
        "## Means of one seed: symmetric studentised bootstrap (Hall 1988) within the empirical Bernstein bound",
        "",
    ]
    lines += [
        f"{runs} samples. Below {LEAST} values there is no interval: of 20 it would cover .87 to .98 of the time."
    ]
    lines += table("values", "n", "ours", "Student's t")
    for name in MEANS:
        for n in SIZES:
            found = [mean_coverage(name, n, runs, form) for form in (bootstrap_limits, student_limits)]
            lines.append(row(name, n, *found))
            print(lines[-1], flush=True)
    return lines


def speed_part(rounds: int = 21, metrics: int = 40) -> list[str]:
    variants = {"percentile": scipy_bootstrap("percentile"), "BCa": scipy_bootstrap("BCa"), "ours": bootstrap_mean}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    random = np.random.default_rng(0)
    for _ in range(rounds):
        values = random.exponential(size=1000)
        for name, variant in variants.items():
            started = time.perf_counter()
            variant(values)
            seconds[name].append(time.perf_counter() - started)
    median = {name: statistics.median(found) for name, found in seconds.items()}
    return [
        f"Time of one interval of 1,000 values, medians of {rounds} interleaved calls: scipy's percentile form takes "
        f"{median['percentile'] / median['ours']:.1f} times ours, BCa {median['BCa'] / median['ours']:.1f} times; "
        f"the intervals of {metrics} metrics over two subsets take {2 * metrics * median['ours']:.2f} s here.",
    ]


def crossed_part(runs: int) -> list[str]:
    lines = ["## Means of several seeds: crossed effects of seeds and queries", ""]
    lines += [
        f"{runs} tables of 200 queries, normal effects. *Share*: of the variance of the mean that is due to seeds. The",
        "claim is about new seeds and new queries; of two seeds no interval is given. The interval over queries alone",
        "is what it replaces.",
        *table("seeds", "what varies", "share", "mean (ours)", "difference (ours)", "queries only"),
    ]
    for seeds in (3, 5):
        for kind in EFFECTS:
            for share in (0.0, 0.1, 0.5, 0.75, 0.9):
                found = [crossed_coverage(seeds, kind, share, runs, two=two) for two in (False, True)]
                fixed = crossed_coverage(seeds, kind, share, runs, interval=queries_only)
                lines.append(row(seeds, kind, share, *found, fixed))
                print(lines[-1], flush=True)
    return lines


SHARES = (((0.1, 0.3), (0.1, 0.3)), ((0.1, 0.3), (0.0, 0.1)), ((0.02, 0.1), (0.02, 0.1)), ((0.02, 0.1), (0.0, 0.02)))
RARE = (((0.0, 0.02), (0.0, 0.02)), ((0.0, 0.02), (0.0, 0.0)))


def paired_part(runs: int, slow_runs: int) -> list[str]:
    lines = ["## Paired differences of one seed each", ""]
    lines += [
        f"{runs} samples. *Given*: share of them with an interval; there is none of fewer than {LEAST_PAIRS} queries,",
        f"and none where fewer than {LEAST_DIFFERING} differ, either way. *Rejections*: of a true null, at 5 %.",
        *table("values", "n", "given", "covers", "Student's t", "rejections by sign flips"),
    ]
    for name in MEANS:
        for n in SIZES:
            ours, other = (paired_mean_coverage(name, n, runs, form) for form in (bootstrap_limits, student_limits))
            covers = [ours.covers, other.covers] if ours.given else ["none given", ""]
            lines.append(row(name, n, ours.given, *covers, sign_flip_rejections(name, n, min(runs, 1000))))
            print(lines[-1], flush=True)
    lines += [
        "",
        "Rates (Tango 1998), exact, averaged over shares of discordant pairs either way in these ranges. In the last",
        "two ranges some two pairs of 100 are discordant, of which no test could show a difference, so that",
        "an interval that keeps its level elsewhere nearly always holds the truth.",
        *table("shares", *(f"n = {n}" for n in SIZES)),
    ]
    for first, second in (*SHARES, *RARE):
        cells = [paired_rate_coverage(n, first, second) for n in SIZES]
        lines.append(row(f"{first[0]} to {first[1]}, {second[0]} to {second[1]}", *cells))
        print(lines[-1], flush=True)
    lines += [
        "",
        "Several seeds: rejections of a true null at 5 % by the crossed test, and by sign flips of seed means.",
    ]
    lines += table("seeds", "what varies", "share", "crossed test (ours)", "sign flips")
    for seeds in (2, 3, 5):
        for kind in EFFECTS:
            for share in (0.0, 0.5, 0.9):
                lines.append(row(seeds, kind, share, *crossed_rejections(seeds, kind, share, slow_runs)))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("runs", 4000), ("slow-runs", 2000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    error = 1.96 * np.sqrt(0.95 * 0.05 / np.array([options.runs, options.slow_runs]))
    lines = ["# Coverage of the intervals of means", ""]
    lines += [
        "Share of samples whose nominal 95 % interval holds the truth; wanted: 93 to 97 %. Simulation error (95 %):",
        f"{error[0]:.3f} with {options.runs} samples, {error[1]:.3f} with {options.slow_runs}.",
        f"scipy {scipy.__version__}.",
        "",
    ]
    parts = (
        wilson_part(),
        [*means_part(options.runs), "", *speed_part()],
        crossed_part(options.slow_runs),
        paired_part(options.runs, options.slow_runs),
    )
    for part in parts:
        lines += [*part, ""]
    command = f"coverage_means.py --runs {options.runs} --slow-runs {options.slow_runs}"
    lines.append(f"Made by `python tests/benchmarks/{command}`.")
    (ROOT / "reports" / "intervals-means.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
