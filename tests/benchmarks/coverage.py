"""Do 95 % intervals of set distances hold the populations' distance 95 times in 100?

    python tests/benchmarks/coverage.py [--repeats 1000]

Writes ``reports/intervals-sets.md``. Populations have exactly known distances; see ``tests/support/populations.py``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import t

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from populations import CUMULANTS, Pair, frechet_jackknife, kernel_jackknife  # noqa: E402

from cfbench.distances.intervals import GROUPS, Jackknife  # noqa: E402

Sampler = Callable[..., Jackknife]
Setting = tuple[Sampler, Pair, int]

HEAD = """
| distance | law | D | n | against | true | plug-in | estimate | SD | SE | plain SE | covers | plain covers |
|---|---|---|---|---|---|---|---|---|---|---|---|---|"""


def row(setting: Setting, repeats: int, *, paired: bool) -> str:
    sampler, pair, n = setting
    frechet = sampler is frechet_jackknife
    truth = pair.frechet if frechet else pair.kernel
    found = [sampler(pair, n, seed, paired=paired) for seed in range(repeats)]
    estimates, errors = np.array([each.estimate for each in found]), np.array([each.error for each in found])
    replicates = np.array([each.replicates for each in found])
    plain = np.sqrt((GROUPS - 1) ** 2 / GROUPS * replicates.var(axis=1, ddof=1))
    covers = np.mean([each.interval[0] <= truth <= each.interval[1] for each in found])
    plain_covers = np.mean(np.abs(estimates - truth) <= t.ppf(0.975, GROUPS - 1) * plain)
    cells = [
        "Frechet" if frechet else "kernel",
        pair.law,
        str(pair.dimensions),
        str(n),
        "partners" if paired else "known moments" if frechet else "another sample",
        f"{round(truth, 9):.3g}",
        f"{np.mean([each.value for each in found]):.3g}",
        f"{estimates.mean():.3g}",
        f"{estimates.std(ddof=1):.3g}",
        f"{np.sqrt(np.square(errors).mean()):.3g}",
        f"{np.sqrt(np.square(plain).mean()):.3g}",
        f"{covers:.1%}",
        f"{plain_covers:.1%}",
    ]
    print(*cells, flush=True)
    return f"| {' | '.join(cells)} |"


def table(settings: list[Setting], repeats: int) -> list[str]:
    rows = [row(setting, repeats, paired=paired) for setting in settings for paired in (False, True)]
    return [HEAD, *rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    repeats = parser.parse_args().repeats
    frechet, kernel = frechet_jackknife, kernel_jackknife
    apart = [(frechet, Pair(law, d, 0.35, 0.1), n) for d, n in ((16, 320), (64, 1000)) for law in CUMULANTS]
    apart += [(kernel, Pair(law, 16, 0.35, 0.1), n) for n in (500, 1000) for law in CUMULANTS]
    near = [(frechet, Pair("gaussian", d, 0, shift), n) for d, n in ((16, 320), (64, 1000)) for shift in (0.1, 0)]
    near += [(kernel, Pair("gaussian", 16, 0, shift), 500) for shift in (0.1, 0)]
    few = [(frechet, Pair("gaussian", 64, 0.35, 0.1), n) for n in (40, 100, 200, 400)]
    lines = [
        "# Intervals of set distances",
        "",
        f"{repeats} samples a row, {GROUPS} groups. *True* is the populations' distance, *plug-in* and *estimate* the "
        "means of the value on the sample and of its jackknife correction, *SD* the spread of the estimate, *SE* the "
        "mean standard error (root mean square), *covers* the share of nominal 95 % intervals that hold the true "
        "distance. *Plain* is the delete-group jackknife without the correction of its variance. A share of "
        f"95 % has a standard error of {100 * np.sqrt(0.95 * 0.05 / repeats):.1f} points.",
        "",
        "## Populations that differ in mean and covariance",
        *table(apart, repeats),
        "",
        "## Near and at equality",
        "",
        "Covariances are equal, means differ by 0.1 in every dimension, or not at all (true distance 0). Here the "
        "error stays on the safe side and intervals cover too often, though less so than the plain ones. At equality "
        "the estimate is negative about half of the time; a caller who cuts intervals at 0 keeps the coverage.",
        *table(near, repeats),
        "",
        "## Fewer than ten vectors a dimension",
        "",
        "The bias is no longer of order 1/n alone: against known moments intervals fall short as n nears D. Below full "
        "rank (n = 40) neither estimate nor interval says anything about the populations.",
        *table(few, repeats),
        "",
        "Made by `python tests/benchmarks/coverage.py`.",
    ]
    (ROOT / "reports" / "intervals-sets.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
