"""Speed of ``dip``: all images of a batch at once against the same algorithm, image by image, in one run.

    python tests/benchmarks/dip.py [--images 50] [--steps 40] [--rounds 3]

Writes ``reports/dip-speed.md``. The loop uses PyTorch's own layers for one image at a time, the same network, steps,
optimiser, classifier and threads; ``vmap`` is ``torch.func.vmap`` over those layers. Variants take turns within each
round, so that the ratios hold when the machine's speed drifts.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench.harness import Advance, produce
from cfbench.keys import run_key
from cfbench.provenance import device_name
from cfbench.registry import METHODS, load_dataset
from cfbench.seeds import QueryRandom
from cfbench.store import RunFolder, contiguous
from cfbench.task import Task
from cfbench.view import MethodView

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from plain_skipnet import PlainSkipNet  # noqa: E402

NEVER = 0.999999
"""A confidence that is not reached, so that every variant takes every step."""


def optimise(
    task: MethodView, images: Tensor, targets: Tensor, forward: Callable[[], Tensor], weights: list[Tensor], steps: int
) -> None:
    """The optimisation of ``dip``, half of the steps warming up, whatever computes the images."""
    optimiser = torch.optim.Adam(weights, lr=0.01, fused=True)
    with torch.no_grad():
        wanted, _ = task.classifier.outputs(images)
    for step in range(steps):
        current = forward()
        if step < steps // 2:
            loss = (current - images).square().flatten(1).mean(1).sum()
        else:
            maps, logits = task.classifier.outputs(current)
            matching = sum((have - want).square().flatten(1).mean(1) for have, want in zip(maps, wanted, strict=True))
            loss = (matching + F.cross_entropy(logits, targets, reduction="none")).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def loop(task: MethodView, images: Tensor, targets: Tensor, steps: int) -> None:
    for image, target in zip(images.split(1), targets.split(1), strict=True):
        plain = PlainSkipNet(task.image_shape, (16, 32, 64), noise=32)
        code = torch.rand(1, 32, *task.image_shape[1:]) * 0.1
        optimise(task, image, target, lambda plain=plain, code=code: plain(code), list(plain.parameters()), steps)


def vmapped(task: MethodView, images: Tensor, targets: Tensor, steps: int) -> None:
    plains = [PlainSkipNet(task.image_shape, (16, 32, 64), noise=32) for _ in images]
    weights, _ = torch.func.stack_module_state(plains)
    codes = torch.rand(len(images), 1, 32, *task.image_shape[1:]) * 0.1

    def one(weight: dict[str, Tensor], code: Tensor) -> Tensor:
        return torch.func.functional_call(plains[0], weight, (code,))[0]

    forward = torch.func.vmap(one)
    optimise(task, images, targets, lambda: forward(weights, codes), list(weights.values()), steps)


def stacked(task: MethodView, images: Tensor, targets: Tensor, steps: int) -> None:
    method = METHODS.load("dip")(warmup=steps // 2, steps=steps - steps // 2, confidence=NEVER)
    method.task = task
    method.random = QueryRandom(range(len(images)))
    method._columns = {}
    method.explain(images, targets)


def overhead(task: Task, count: int) -> float:
    """Share of the harness in a run of the default ``dip``: wall time over the method's own, minus one."""
    method = METHODS.load("dip")()
    with tempfile.TemporaryDirectory() as root:
        folder = RunFolder(Path(root))
        folder.claim(run_key(method, task, seed=0))
        started = time.perf_counter()
        ranges = list(contiguous(list(range(count)), method.batch_size))
        produce(
            method,
            task,
            folder,
            ranges,
            seed=0,
            time_limit=None,
            advance=Advance(0, 0, 0, count),
            on_advance=lambda _: None,
        )
        wall = time.perf_counter() - started
        shards = list(folder.shards())
    own = sum(shard.seconds for shard in shards) + shards[0].session.setup_seconds
    return wall / own - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("images", 50), ("steps", 40), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    task = Task(load_dataset("fashion-mnist"), split="validation")
    method_class = METHODS.load("dip")
    view = MethodView(task, method_class.needs)
    images, targets = task.images(slice(0, options.images)), task.targets[: options.images]
    variants = {"loop over single images": loop, "torch.func.vmap": vmapped, "cfbench (stacked)": stacked}
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for run in range(options.rounds + 1):
        for name, variant in variants.items():
            started = time.perf_counter()
            variant(view, images, targets, options.steps)
            if run:
                rates[name].append(len(images) * options.steps / (time.perf_counter() - started))
            print(name, f"{time.perf_counter() - started:.1f} s", flush=True)
    share = overhead(task, 2 * method_class.batch_size)

    base = rates["loop over single images"]
    lines = [
        "# Speed of `dip`",
        "",
        f"{options.images} images of 28 x 28, {options.steps} steps each (half of them warm-up), "
        f"{torch.get_num_threads()} threads, {device_name('cpu')}, torch {torch.__version__}; medians of "
        f"{options.rounds} rounds in one run, ratios round by round.",
        "",
        "| variant | image steps a second | times the loop |",
        "|---|---|---|",
    ]
    for name, found in rates.items():
        ratios = [mine / theirs for mine, theirs in zip(found, base, strict=True)]
        spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if found is not base else ""
        lines.append(f"| {name} | {statistics.median(found):.0f} | {statistics.median(ratios):.2f}{spread} |")
    lines += [
        "",
        f"Harness overhead on the default `dip`, {2 * method_class.batch_size} queries (checks, seeds, judging, "
        f"shards): {share:.2%} of the method's own time.",
        "",
        "Made by `python tests/benchmarks/dip.py`.",
    ]
    (ROOT / "reports" / "dip-speed.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
