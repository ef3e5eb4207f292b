"""Speed of the methods that go down a diffusion model: a batch at once against the plain algorithm image by image.

    python tests/benchmarks/diffusion.py [--images 50] [--rounds 3]

Writes ``reports/diffusion-speed.md``. The plain algorithm is a transcription of the paper (``tests/support``) with the
same frozen networks, parameters, noise and threads; it gives the same images, and the report says how nearly. The two
take turns within each round, so that ratios hold when the machine's speed drifts.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cfbench.images import quantise
from cfbench.method import Method
from cfbench.provenance import device_name
from cfbench.registry import METHODS, load_dataset
from cfbench.seeds import QueryRandom
from cfbench.task import Task
from cfbench.view import MethodView

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from plain_diffusion import Plain, PlainACE, PlainDiME  # noqa: E402


@dataclass(frozen=True)
class Case:
    """A method with its parameters, and the plain form of it."""

    label: str
    method: str
    plain: type[Plain]
    settings: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("dime", "dime", PlainDiME),
    Case("fast-dime", "fast-dime", PlainDiME),
    Case("ace", "ace", PlainACE),
]


class Bench:
    """One method on the first queries of a task."""

    def __init__(self, case: Case, task: Task, images: int) -> None:
        self.case = case
        self.method: Method = METHODS.load(case.method)(**case.settings)
        self.view = MethodView(task, self.method.needs)
        self.method.setup(self.view)
        self.images, self.targets = task.images(slice(0, images)), task.targets[:images]
        self.model, self.classifier = task.load("diffusion"), task.load(task.classifier)
        self.passes = 0
        self.model.register_forward_hook(self._count)

    def _count(self, network: Any, inputs: Any, output: Any) -> None:
        self.passes += 1

    def plain(self) -> Tensor:
        made = []
        for index, (image, target) in enumerate(zip(self.images.split(1), self.targets.split(1), strict=True)):
            random = QueryRandom([index])
            one = self.case.plain(self.model, self.classifier, self.method, lambda: random.normal(*self.model.shape))  # noqa: B023
            made.append(one(image, target))
        return quantise(torch.cat(made))

    def batch(self) -> Tensor:
        count, size = len(self.images), self.method.batch_size
        rows = torch.arange(count).split(size)
        made = [self.method(self.images[each], self.targets[each], seeds=each.tolist()).images for each in rows]
        return torch.cat(made)


def row(case: Case, task: Task, images: int, rounds: int) -> str:
    """One row of the table: medians, and ratios round by round."""
    bench = Bench(case, task, images)
    seconds: dict[str, list[float]] = {"plain": [], "batch": []}
    made: dict[str, Tensor] = {}
    for _ in range(rounds):
        for name, found in seconds.items():
            started = time.perf_counter()
            made[name] = getattr(bench, name)()
            found.append(time.perf_counter() - started)
        print(case.label, images, {name: found[-1] for name, found in seconds.items()}, flush=True)
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    differences = (made["plain"].float() - made["batch"].float()).abs().flatten(1).mean(1)
    cells = [
        case.label,
        *(f"{images / statistics.median(found):.2f}" for found in seconds.values()),
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        f"{bench.passes / rounds / images:.1f}",
        f"{bench.view.counter.generated / rounds / images:.1f}",
        f"{float((differences > 1).float().mean()):.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("images", 50), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    lines = [
        "# Speed of counterfactuals by diffusion",
        "",
        f"Default parameters, {torch.get_num_threads()} threads, {device_name('cpu')}, torch {torch.__version__}; "
        f"medians of {options.rounds} rounds in one run, ratios round by round. Plain is the paper's algorithm written "
        "down for one image, on the same networks and noise; passes are those of the diffusion model an image, and "
        "apart are images that differ by more than one of 255 levels in the mean.",
    ]
    for name in ("fashion-mnist", "isic"):
        task = Task(load_dataset(name), split="validation")
        lines += [
            "",
            f"## {name}: {options.images} images of {' x '.join(map(str, task.dataset.image_shape))}",
            "",
            "| method | plain, images a second | cfbench | times the plain | passes, plain | cfbench | apart |",
            "|---|---|---|---|---|---|---|",
            *(row(case, task, options.images, options.rounds) for case in CASES),
        ]
    lines += ["", "Made by `python tests/benchmarks/diffusion.py`."]
    (ROOT / "reports" / "diffusion-speed.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
