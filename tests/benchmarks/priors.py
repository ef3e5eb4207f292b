"""Speed of the methods that optimise a prior for every image: a batch at once against image by image, in one run.

    python tests/benchmarks/priors.py [--images N] [--steps 6] [--rounds 3]

Writes ``reports/priors-speed.md``. Loop, ``torch.func.vmap`` and cfbench go through the same optimisation (half of the
steps warming up, no image stops early), with the same networks, steps, classifier and threads; they take turns within
each round, so that ratios hold when the machine's speed drifts. "Products alone" replays the convolutions and matrix
products of one step of each kind, with tensors of the same shapes, and nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from cfbench.allocation import keep_freed_memory
from cfbench.inversion import Objective, descend, reconstruct
from cfbench.method import Method
from cfbench.priors import Prior
from cfbench.provenance import device_name
from cfbench.registry import METHODS, load_dataset
from cfbench.task import Task
from cfbench.view import MethodView

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from plain_priors import Single, Vmapped, fourier, siren, skipnet  # noqa: E402

NEVER = 0.999999
"""A confidence that is not reached, so that every variant takes every step."""

BATCHES = {"fashion-mnist": 100, "isic": 50}
"""Tasks, and how many of their images the methods take at once."""

PRODUCTS = ("convolution", "convolution_backward", "bmm", "baddbmm", "mm", "addmm")
"""Operations that are the arithmetic of a step."""

Plain = Callable[[tuple[int, int, int]], tuple[nn.Module, Tensor]]


@dataclass(frozen=True)
class Case:
    """A method with its parameters, and the plain form of the prior that it uses."""

    label: str
    method: str
    plain: Plain
    settings: dict[str, Any]


CASES = [
    Case("dip", "dip", skipnet, {}),
    Case("dip-loss", "dip-loss", skipnet, {}),
    Case("disc", "disc", skipnet, {}),
    Case("disc, sine networks", "disc", siren, {"prior": "siren", "rate": 1e-4}),
    Case("disc, Fourier features", "disc", fourier, {"prior": "fourier"}),
]


class Products(TorchDispatchMode):
    """Keeps the calls of ``PRODUCTS``."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operation.overloadpacket.__name__ in PRODUCTS:
            like = [torch.empty_like(each).fill_(0.5) if isinstance(each, Tensor) else each for each in args]
            self.calls.append((operation, tuple(like), kwargs or {}))
        return operation(*args, **(kwargs or {}))

    def seconds(self) -> float:
        """Wall time of all calls kept, one after the other; the better of three goes."""
        goes = []
        for _ in range(3):
            started = time.perf_counter()
            for operation, args, kwargs in self.calls:
                operation(*args, **kwargs)
            goes.append(time.perf_counter() - started)
        return min(goes)


class Bench:
    """One method on the first queries of a task."""

    def __init__(self, case: Case, task: Task, images: int, steps: int) -> None:
        self.case, self.steps = case, steps
        half = steps // 2
        settings = {"warmup": half, "steps": steps - half, "confidence": NEVER, **case.settings}
        self.method: Method = METHODS.load(case.method)(**settings)
        self.method.setup(MethodView(task, self.method.needs))
        self.images, self.targets = task.images(slice(0, images)), task.targets[:images]

    def optimise(self, prior: Prior, images: Tensor, targets: Tensor) -> None:
        """What the method does, whatever makes the images."""
        method: Any = self.method
        reconstruct(prior, images, steps=method.warmup, rate=method.warmup_rate)
        objective = Objective(
            method.task.classifier,
            images,
            targets,
            target=getattr(method, "target", None) or method.weight,
            consistency=method._term if hasattr(method, "_term") else method.consistency(),
        )
        descend(prior, objective, steps=method.steps, rate=method.rate, confidence=NEVER)

    def single(self) -> Single:
        return Single(*self.case.plain(tuple(self.images.shape[1:])))

    def loop(self) -> None:
        for image, target in zip(self.images.split(1), self.targets.split(1), strict=True):
            self.optimise(self.single(), image, target)

    def vmap(self) -> None:
        self.optimise(Vmapped([self.single() for _ in self.images]), self.images, self.targets)

    def batch(self) -> None:
        self.method(self.images, self.targets, seeds=range(len(self.images)))

    def products(self) -> float:
        """Seconds that the products of all steps take alone."""
        method: Any = self.method
        method.warmup, method.steps = 1, 1
        with Products() as kept:
            self.batch()
        method.warmup, method.steps = self.steps // 2, self.steps - self.steps // 2
        return kept.seconds() * self.steps / 2


def row(case: Case, task: Task, images: int, steps: int, rounds: int) -> str:
    """One row of the table: medians, and ratios round by round."""
    bench = Bench(case, task, images, steps)
    seconds: dict[str, list[float]] = {"loop": [], "vmap": [], "batch": [], "products": []}
    for turn in range(rounds + 1):
        for name, found in seconds.items():
            started = time.perf_counter()
            given = getattr(bench, name)()
            if turn:
                found.append(time.perf_counter() - started if given is None else given)
        print(case.label, images, {name: found[-1:] for name, found in seconds.items()}, flush=True)

    def times(one: str, other: str) -> str:
        ratios = [a / b for a, b in zip(seconds[one], seconds[other], strict=True)]
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"

    rates = [f"{images * steps / statistics.median(seconds[name]):.0f}" for name in ("loop", "batch")]
    cells = [case.label, *rates, times("loop", "batch"), times("loop", "vmap"), times("batch", "products")]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("images", None), ("steps", 6), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    keep_freed_memory()
    lines = [
        "# Speed of priors optimised for every image",
        "",
        f"{options.steps} steps each (half of them warming up), {torch.get_num_threads()} threads, "
        f"{device_name('cpu')}, torch {torch.__version__}; medians of {options.rounds} rounds in one run, ratios round "
        "by round. `vmap` is `torch.func.vmap` over the layers of the loop; products alone are the convolutions and "
        "matrix products of the batch's steps, prior and classifier, replayed without anything else.",
    ]
    for name, batch in BATCHES.items():
        task = Task(load_dataset(name), split="validation")
        images = options.images or batch
        lines += [
            "",
            f"## {name}: {images} images of {' x '.join(map(str, task.dataset.image_shape))}",
            "",
            "| method | loop, image steps a second | cfbench | times the loop | vmap: times the loop "
            "| cfbench: times its products alone |",
            "|---|---|---|---|---|---|",
            *(row(case, task, images, options.steps, options.rounds) for case in CASES),
        ]
    lines += [
        "",
        "What the harness costs beside: [speed.md](speed.md).",
        "",
        "Made by `python tests/benchmarks/priors.py`.",
    ]
    (ROOT / "reports" / "priors-speed.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
