"""Speed of the methods that search in generators: a batch at once against the plain algorithm image by image.

    python tests/benchmarks/generative.py [--images 25] [--rounds 3]

Writes sections of ``reports/generative-speed.md``. The plain algorithm is a transcription of the paper (``tests/support``)
with the same frozen networks, parameters, noise and threads, which stops as early on an image; it gives the same images,
and the report says how nearly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cfbench.images import quantise
from cfbench.method import Method
from cfbench.registry import METHODS, load_dataset
from cfbench.seeds import QueryRandom
from cfbench.task import Task
from cfbench.view import MethodView

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "reports" / "generative-speed.md"
sys.path.insert(0, str(ROOT / "tests" / "support"))

from plain_diffusion import PlainACE, PlainDiME  # noqa: E402
from plain_guided import PlainLDCE, PlainSCE  # noqa: E402
from plain_latent import plain_dive, plain_gan, plain_vae  # noqa: E402
from speed import conditions, flips, table, take_turns, write_section  # noqa: E402

DIFFUSION: dict[str, Any] = {
    "dime": PlainDiME,
    "fast-dime": PlainDiME,
    "ace": PlainACE,
    "ldce": PlainLDCE,
    "sce": PlainSCE,
}
LATENT: dict[str, Any] = {
    "vae-latent": plain_vae,
    "diffeomorphic": plain_vae,
    "gan-latent": plain_gan,
    "dive": plain_dive,
}
APART = 4
"""Levels of 255 by which an image may differ in the mean before it counts as apart."""

Way = Callable[[], Tensor]


class Bench:
    """One method with its default parameters on the first queries of a task, and the plain form of it."""

    def __init__(self, name: str, task: Task, images: int) -> None:
        self.name = name
        self.method: Method = METHODS.load(name)()
        self.method.setup(MethodView(task, self.method.needs))
        self.images, self.targets = task.images(slice(0, images)), task.targets[:images]
        self.classifier = task.load(task.classifier)

    def batch(self) -> Tensor:
        parts = torch.arange(len(self.images)).split(self.method.batch_size)
        made = [self.method(self.images[each], self.targets[each], seeds=each.tolist()).images for each in parts]
        return torch.cat(made)

    def plain(self) -> Tensor:
        return quantise(torch.cat([self._one(index) for index in range(len(self.images))]))

    def _one(self, index: int) -> Tensor:
        method: Any = self.method
        image, target = self.images[index : index + 1], self.targets[index : index + 1]
        random = QueryRandom([index])
        if self.name in LATENT:
            made: Tensor = LATENT[self.name](method, self.classifier, image, target, random.normal)
            return made.clamp(0, 1)
        further = {"copy": method._copy} if self.name == "sce" else {}
        model = method._model
        plain = DIFFUSION[self.name](model, self.classifier, method, lambda: random.normal(*model.shape), **further)
        explained: Tensor = plain(image, target)
        return explained


def against_plain(task: Task, names: list[str], images: int, rounds: int) -> str:
    rows = []
    for name in names:
        bench = Bench(name, task, images)
        turns = take_turns({"plain": bench.plain, "cfbench": bench.batch}, rounds, name)
        apart = (turns.made["plain"].float() - turns.made["cfbench"].float()).abs().flatten(1).mean(1) > APART
        flipped = " / ".join(flips(bench.classifier, turns.made[way], bench.targets) for way in turns.made)
        rates = [turns.rate(way) for way in turns.made]
        rows.append([f"`{name}`", *rates, turns.times("plain", "cfbench"), flipped, f"{int(apart.sum())}"])
    head = ["method", "plain, images a second", "cfbench", "times the plain", "flip rates", "images apart"]
    return table(head, rows)


def against_dime(task: Task, images: int, rounds: int) -> str:
    benches = {name: Bench(name, task, images) for name in ("dime", "fast-dime")}
    turns = take_turns({name: bench.batch for name, bench in benches.items()}, rounds, "both")
    bench = benches["dime"]
    rows = [
        [f"`{name}`", turns.rate(name), turns.times("dime", name), flips(bench.classifier, made, bench.targets)]
        for name, made in turns.made.items()
    ]
    return table(["method", "images a second", "times `dime`", "flip rate"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("images", 25), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    task = Task(load_dataset("fashion-mnist"), split="validation")
    said = conditions(options.images, options.rounds)
    made_by = "Made by `python tests/benchmarks/generative.py`."
    plain = (
        f"{said} Default parameters. Plain is the paper's algorithm written down for one image, on the same networks "
        f"and noise; images apart differ by more than {APART} of 255 levels in the mean, of those of the same seed."
    )
    compared = against_plain(task, [*DIFFUSION, *LATENT], options.images, options.rounds)
    write_section(REPORT, "A batch at once against image by image", [plain, compared, made_by])
    both = against_dime(task, options.images, options.rounds)
    write_section(REPORT, "`fast-dime` against `dime`", [f"{said} Default parameters.", both, made_by])


if __name__ == "__main__":
    main()
