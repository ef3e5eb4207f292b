"""How often the 95 % intervals of cfbench hold the truth, and what the alternatives would do.

    python tests/benchmarks/coverage_means.py [--runs 4000] [--slow-runs 1000]

Writes ``reports/intervals-means.md``. ``--slow-runs`` samples go to scipy's bootstraps and to the bootstrap over seeds.
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
    crossed_coverage,
    crossed_rejections,
    mean_coverage,
    paired_mean_coverage,
    paired_rate_coverage,
    pigeonhole,
    queries_only,
    sign_flip_rejections,
    student,
    wilson_coverage,
)

from cfbench.stats import RESAMPLES, Floats, Interval, bootstrap_mean  # noqa: E402

SIZES = (100, 300, 1000)


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


def means_part(runs: int, slow_runs: int) -> list[str]:
    lines = [
        "## Means of one seed: symmetric studentised bootstrap (Hall 1988)",
        "",
        f"{runs} samples; scipy's forms {slow_runs}.",
    ]
    lines += table("values", "n", "ours", "Student's t", "percentile", "BCa")
    for name in MEANS:
        for n in SIZES:
            others = [mean_coverage(name, n, slow_runs, scipy_bootstrap(method)) for method in ("percentile", "BCa")]
            ours = [mean_coverage(name, n, runs, form) for form in (bootstrap_mean, student)]
            lines.append(row(name, n, *ours, *others))
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


def crossed_part(runs: int, slow_runs: int) -> list[str]:
    lines = ["## Means of several seeds: crossed effects of seeds and queries", ""]
    lines += [
        f"{runs} tables of 200 queries, normal effects. *Share*: of the variance of the mean that is due to seeds. The",
        "claim is about new seeds and new queries. Where seeds hardly matter and their interaction with queries is all",
        "there is, the interval is conservative (three alike seeds may be luck). Owen's bootstrap",
        f"over seeds and queries ({slow_runs} tables) and the interval over queries alone are what it replaces.",
        *table("seeds", "what varies", "share", "mean (ours)", "difference (ours)", "bootstrap", "queries only"),
    ]
    for seeds in (2, 3, 5):
        for kind in EFFECTS:
            for share in (0.0, 0.1, 0.5, 0.75, 0.9):
                found = [crossed_coverage(seeds, kind, share, runs, two=two) for two in (False, True)]
                boot = crossed_coverage(seeds, kind, share, slow_runs, interval=pigeonhole)
                fixed = crossed_coverage(seeds, kind, share, runs, interval=queries_only)
                lines.append(row(seeds, kind, share, *found, boot, fixed))
                print(lines[-1], flush=True)
    return lines


def paired_part(runs: int) -> list[str]:
    lines = ["## Paired differences of one seed each", "", f"{runs} samples. *Rejections*: of a true null, at 5 %."]
    lines += table("values", "n", "ours", "Student's t", "rejections by sign flips")
    for name in MEANS:
        for n in SIZES:
            found = [paired_mean_coverage(name, n, runs, form) for form in (bootstrap_mean, student)]
            lines.append(row(name, n, *found, sign_flip_rejections(name, n, runs)))
            print(lines[-1], flush=True)
    lines += ["", "Rates (Bonett and Price 2012) by the shares of discordant pairs either way; conservative when rare."]
    lines += table("shares", "n = 100", "n = 300", "n = 1000")
    for first, second in ((0.3, 0.3), (0.3, 0.1), (0.1, 0.02), (0.05, 0.05), (0.01, 0.01), (0.002, 0.0)):
        found = [paired_rate_coverage(n, first, second, runs) for n in SIZES]
        lines.append(row(f"{first}, {second}", *found))
    lines += [
        "",
        "Several seeds: rejections of a true null at 5 % by the crossed test, and by sign flips of seed means.",
    ]
    lines += table("seeds", "what varies", "share", "crossed test (ours)", "sign flips")
    for seeds in (3, 5):
        for kind in EFFECTS:
            for share in (0.0, 0.5, 0.9):
                lines.append(row(seeds, kind, share, *crossed_rejections(seeds, kind, share, runs)))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("runs", 4000), ("slow-runs", 1000)):
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
        [*means_part(options.runs, options.slow_runs), "", *speed_part()],
        crossed_part(options.runs, options.slow_runs),
        paired_part(options.runs),
    )
    for part in parts:
        lines += [*part, ""]
    command = f"coverage_means.py --runs {options.runs} --slow-runs {options.slow_runs}"
    lines.append(f"Made by `python tests/benchmarks/{command}`.")
    (ROOT / "reports" / "intervals-means.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
