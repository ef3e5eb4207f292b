"""Speed and memory of the set distances and of Inception against the packages that others use, in one run.

    OMP_NUM_THREADS=1 python tests/benchmarks/distances.py [--rounds 3]

Writes ``reports/metric-speed.md``. Variants take turns within each round on the same features or images. Times are
processor time of the one thread, which other work on the machine inflates little.
"""

from __future__ import annotations

import argparse
import inspect
import statistics
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import lpips
import numpy as np
import scipy
import torch
from pytorch_fid import fid_score
from torch import nn
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from cfbench.distances.frechet import Floats, Moments, frechet_distance
from cfbench.distances.kernel import KernelSums, cubic_kernel
from cfbench.distances.neighbours import neighbourhoods
from cfbench.inception import FEATURES, FastInception
from cfbench.provenance import device_name

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from random_inception import random_inception  # noqa: E402

Variant = Callable[[], float]


def allow_removed_argument() -> None:
    """pytorch-fid 0.3 passes ``disp`` to scipy's matrix root, which scipy 1.18 no longer takes."""
    if "disp" in inspect.signature(scipy.linalg.sqrtm).parameters:
        warnings.filterwarnings("ignore", "The `disp` argument", DeprecationWarning)
        return
    root = scipy.linalg.sqrtm
    fid_score.linalg.sqrtm = lambda matrix, disp=True: root(matrix) if disp else (root(matrix), None)


def features(n: int, seed: int) -> Floats:
    """Rectified correlated vectors [n, 2048] whose spectrum falls as that of Inception features does."""
    random = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(FEATURES, FEATURES)) / np.sqrt(np.arange(1, FEATURES + 1))[:, None]
    return np.maximum(random.normal(size=(n, FEATURES)) @ mix / 3 + 0.1 * seed, 0)


def frechet_variants(a: Floats, b: Floats) -> dict[str, Variant]:
    """From features to distance, moments included."""

    def cfbench() -> float:
        return frechet_distance(Moments.of(a).gaussian, Moments.of(b).gaussian)

    def torch_fidelity() -> float:
        moments = [fid_features_to_statistics(torch.from_numpy(part)) for part in (a, b)]
        return fid_statistics_to_metric(*moments, verbose=False)["frechet_inception_distance"]

    def torchmetrics() -> float:
        moments = [(part.mean(axis=0), np.cov(part, rowvar=False)) for part in (a, b)]
        return float(_compute_fid(*(torch.from_numpy(part) for pair in moments for part in pair)))

    def pytorch_fid() -> float:
        moments = [(part.mean(axis=0), np.cov(part, rowvar=False)) for part in (a, b)]
        return float(fid_score.calculate_frechet_distance(*moments[0], *moments[1]))

    return {
        "cfbench": cfbench,
        "torch-fidelity": torch_fidelity,
        "torchmetrics": torchmetrics,
        "pytorch-fid": pytorch_fid,
    }


def step_variants(a: Floats, b: Floats) -> dict[str, Variant]:
    """From each package's own moments to distance."""
    ours = [Moments.of(part) for part in (a, b)]
    theirs = [fid_features_to_statistics(torch.from_numpy(part)) for part in (a, b)]
    plain = [theirs[0]["mu"], theirs[0]["sigma"], theirs[1]["mu"], theirs[1]["sigma"]]
    return {
        "cfbench": lambda: frechet_distance(ours[0].gaussian, ours[1].gaussian),
        "torch-fidelity": lambda: fid_statistics_to_metric(*theirs, verbose=False)["frechet_inception_distance"],
        "torchmetrics": lambda: float(_compute_fid(*map(torch.from_numpy, plain))),
        "pytorch-fid": lambda: float(fid_score.calculate_frechet_distance(*plain)),
    }


def inception_variants(images: torch.Tensor) -> dict[str, Variant]:
    network = random_inception()
    fast = FastInception(network)

    @torch.no_grad()
    def pytorch_fid() -> float:
        return float(torch.cat([network(part)[0].squeeze(3).squeeze(2) for part in images.split(50)]).mean())

    return {"cfbench": lambda: float(fast(images).mean()), "pytorch-fid": pytorch_fid}


def lpips_variants(images: torch.Tensor) -> dict[str, Variant]:
    torch.manual_seed(0)
    with warnings.catch_warnings(action="ignore"):
        networks: list[nn.Module] = [lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval() for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    networks[1].to(memory_format=torch.channels_last)
    other = images.flip(3)

    @torch.no_grad()
    def run(network: nn.Module, layout: torch.memory_format) -> float:
        parts = (part.contiguous(memory_format=layout) * 2 - 1 for part in (images, other))
        return float(network(*parts).mean())

    return {
        "channels last": lambda: run(networks[1], torch.channels_last),
        "lpips": lambda: run(networks[0], torch.contiguous_format),
    }


def kernel(x: Floats, y: Floats) -> float:
    """The distance and its sums over 20 groups."""
    groups = np.arange(len(x)) % 20
    return KernelSums.of(x, y, cubic_kernel, groups_x=groups, groups_y=groups).squared_mmd()


def measure(variants: dict[str, Variant], rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    values = {}
    for _ in range(rounds):
        for name, variant in variants.items():
            started = time.process_time()
            values[name] = variant()
            seconds[name].append(time.process_time() - started)
            print(name, f"{seconds[name][-1]:.3f} s", values[name], flush=True)
    return seconds, values


def table(title: str, variants: dict[str, Variant], rounds: int) -> list[str]:
    """Rows of seconds, how many times slower than the first, and values."""
    seconds, values = measure(variants, rounds)
    first = next(iter(variants))
    lines = ["", f"## {title}", "", f"| | seconds | times {first} | value |", "|---|---|---|---|"]
    for name, found in seconds.items():
        ratios = [theirs / ours for theirs, ours in zip(found, seconds[first], strict=True)]
        spread = f" ({min(ratios):.3g} to {max(ratios):.3g})" if name != first else ""
        middle = statistics.median(found), statistics.median(ratios)
        lines.append(f"| {name} | {middle[0]:.3g} | {middle[1]:.3g}{spread} | {values[name]:.12g} |")
    return lines


def exact_frechet(a: Floats, b: Floats) -> float:
    """In extended precision up to the singular values of the cross matrix, which are those of float64."""
    wide = [part.astype(np.longdouble) for part in (a, b)]
    centred = [part - part.mean(axis=0) for part in wide]
    cross = np.asarray(centred[0] @ centred[1].T, dtype=np.float64)
    shift = wide[0].mean(axis=0) - wide[1].mean(axis=0)
    traces = sum(np.square(part).sum() for part in centred)
    return float(shift @ shift + (traces - 2 * np.linalg.svd(cross, compute_uv=False).sum()) / (len(a) - 1))


def peak(work: Callable[[], object]) -> float:
    """Peak of the arrays that numpy allocates, in megabytes."""
    tracemalloc.start()
    work()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    allow_removed_argument()
    many, few = [features(5000, seed) for seed in (0, 1)], [features(500, seed) for seed in (0, 1)]
    images = torch.rand(50, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    lines = [
        "# Speed and memory of set distances",
        "",
        f"One thread, {device_name('cpu')}, numpy {np.__version__}, scipy {scipy.__version__}, torch "
        f"{torch.__version__}; processor time, medians of {rounds} rounds in one run, ratios round by round.",
        *table("Frechet distance from moments, 5000 vectors of 2048 features", step_variants(*many), rounds),
        *table("Frechet distance from moments, 500 vectors of 2048 features", step_variants(*few), rounds),
        *table("Frechet distance from 500 vectors of 2048 features, moments included", frechet_variants(*few), rounds),
        "",
        f"In extended precision the last value is {exact_frechet(*few):.12g}.",
        *table(
            "Unbiased kernel distance, 5000 vectors of 2048 features",
            {
                "cfbench": lambda: kernel(*many),
                "torchmetrics": lambda: float(poly_mmd(*map(torch.from_numpy, many))),
            },
            rounds,
        ),
        *table("Inception features of 50 images (value: their mean)", inception_variants(images), rounds),
        *table("LPIPS alex of 50 pairs (value: their mean)", lpips_variants(images), rounds),
    ]
    small = [part[:, :64] for part in many]
    memory = {
        "Frechet distance of 500 vectors of 2048 features": frechet_variants(*few)["cfbench"],
        "the same, torch-fidelity": frechet_variants(*few)["torch-fidelity"],
        "kernel distance of 5000 vectors of 64 features, with its table of groups": lambda: kernel(*small),
        "neighbourhoods of 5000 vectors of 64 features": lambda: neighbourhoods(*small),
    }
    lines += ["", "## Peak memory of numpy's arrays", "", "| | MB |", "|---|---|"]
    lines += [f"| {name} | {peak(work):.0f} |" for name, work in memory.items()]
    lines += [
        "",
        f"For comparison, a matrix of 2048 x 2048 takes {8 * FEATURES**2 / 1e6:.0f} MB, one of 5000 x 5000 200 MB.",
        "",
        "Made by `OMP_NUM_THREADS=1 python tests/benchmarks/distances.py`.",
    ]
    (ROOT / "reports" / "metric-speed.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
