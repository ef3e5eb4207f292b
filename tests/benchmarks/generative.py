"""Speed of the methods that search in generators: a batch at once against the plain algorithm image by image.

    python tests/benchmarks/generative.py [--images 25] [--rounds 3]

Writes sections of ``reports/generative-speed.md``. The plain algorithm is a transcription of the paper
(``tests/support``) with the same frozen networks, parameters, noise and threads, which stops as early on an image; it
gives the same images, and the report says how nearly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cfbench.allocation import keep_freed_memory
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
from plain_latent import plain_dive, plain_dive_apart, plain_gan, plain_vae  # noqa: E402
from speed import conditions, flips, reached, table, take_turns, timed, write_section  # noqa: E402

DIFFUSION: dict[str, Any] = {
    "dime": PlainDiME,
    "fast-dime": PlainDiME,
    "ace": PlainACE,
    "ldce": PlainLDCE,
    "sce": PlainSCE,
}
APART_TOO = ", one explanation at a time"
"""Marks a second plain form of a method, in which networks see one image at a time even of those of a query."""
LATENT: dict[str, Any] = {
    "vae-latent": plain_vae,
    "diffeomorphic": plain_vae,
    "gan-latent": plain_gan,
    "dive": plain_dive,
    f"dive{APART_TOO}": plain_dive_apart,
}
SHORT: dict[str, dict[str, Any]] = {
    "dime": {"scales": (8.0,)},
    "ace": {"iterations": 10},
    "sce": {"iterations": 15, "explanations": 1},
    "vae-latent": {"steps": 60},
    "diffeomorphic": {"steps": 60},
    "gan-latent": {"steps": 60},
    "dive": {"steps": 20},
}
"""Parameters that let the plain algorithms end in minutes; all others are the defaults."""
APART = 4
"""Levels of 255 by which an image may differ in the mean before it counts as apart."""

Way = Callable[[], Tensor]


class Bench:
    """One method on the first queries of a task, and the plain form of that name; defaults but for ``settings``."""

    def __init__(self, name: str, task: Task, images: int, settings: dict[str, Any]) -> None:
        self.name = name
        self.method: Method = METHODS.load(name.removesuffix(APART_TOO))(**settings)
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


def against_plain(task: Task, names: list[str], images: int, rounds: int) -> list[str]:
    rows, times = [], {}
    for name in names:
        bench = Bench(name, task, images, SHORT.get(name.removesuffix(APART_TOO), {}))
        turns = take_turns({"plain": bench.plain, "cfbench": bench.batch}, rounds, name)
        apart = (turns.made["plain"].float() - turns.made["cfbench"].float()).abs().flatten(1).mean(1) > APART
        flipped = " / ".join(flips(bench.classifier, turns.made[way], bench.targets) for way in turns.made)
        rates = [turns.rate(way) for way in turns.made]
        rows.append([f"`{name}`", *rates, turns.times("plain", "cfbench"), flipped, f"{int(apart.sum())}"])
        times[f"`{name}`"] = turns.ratio("plain", "cfbench")
    head = ["method", "plain, images a second", "cfbench", "times the plain", "flip rates", "images apart"]
    return [table(head, rows), reached(4, "the plain algorithm", times)]


def against_dime(task: Task, images: int, rounds: int) -> list[str]:
    benches = {name: Bench(name, task, images, {}) for name in ("dime", "fast-dime")}
    turns = take_turns({name: bench.batch for name, bench in benches.items()}, rounds, "both")
    bench = benches["dime"]
    rows = [
        [f"`{name}`", turns.rate(name), turns.times("dime", name), flips(bench.classifier, made, bench.targets)]
        for name, made in turns.made.items()
    ]
    times = {"`fast-dime`": turns.ratio("dime", "fast-dime")}
    return [table(["method", "images a second", "times `dime`", "flip rate"], rows), reached(5, "`dime`", times)]


def networks_alone(task: Task, images: int) -> str:
    """What batching can gain at most: evaluations of the networks on few images and on many, nothing else.

    ``dive``'s plain form has the explanations of a query side by side, so that few are more than one there.
    """
    model, vae, classifier = (task.load(name) for name in ("diffusion", "vae", task.classifier))

    def unet(count: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        steps, free = torch.full((count,), 300), torch.zeros(count, model.classes)
        return torch.randn(count, *model.shape), lambda values: model(values, steps, free)

    def judged(count: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return torch.randn(count, vae.latent), lambda codes: classifier(vae.decode(codes))

    def milliseconds(case: tuple[Tensor, Callable[[Tensor], Tensor]], sloped: bool) -> float:
        start, network = case

        def once() -> Tensor:
            with torch.set_grad_enabled(sloped):
                given = network(start.requires_grad_(sloped))
                return torch.autograd.grad(given.sum(), start)[0] if sloped else given

        return 1000 * min(timed(once)[1] for _ in range(10)) / len(start)

    rows, explanations = [], METHODS.load("dive")().explanations
    for label, make, sloped, side_by_side in (
        ("diffusion model, forwards", unet, False, 1),
        ("diffusion model, forwards and backwards", unet, True, 1),
        ("VAE's decoder and classifier, forwards and backwards", judged, True, 1),
        (f"the same, {explanations} explanations side by side", judged, True, explanations),
    ):
        counts = (side_by_side, images * side_by_side)
        few, many = (milliseconds(make(count), sloped) for count in counts)
        rows.append([label, *(f"{count}" for count in counts), f"{few:.2f}", f"{many:.2f}", f"{few / many:.1f}"])
    return table(["networks alone", "few", "many", "of few, ms an image", "of many", "times"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("images", 25), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    keep_freed_memory()
    task = Task(load_dataset("fashion-mnist"), split="validation")
    said = conditions(options.images, options.rounds)
    made_by = "Made by `python tests/benchmarks/generative.py`."
    shortened = "; ".join(
        f"`{name}` {', '.join(f'{key} {value}' for key, value in settings.items())}" for name, settings in SHORT.items()
    )
    plain = (
        f"{said} Default parameters, but fewer steps: {shortened}. Plain is the paper's algorithm written down for one "
        f"image, on the same networks and noise; images apart differ by more than {APART} of 255 levels in the mean. "
        "The first of `dive`'s plain forms has the explanations of a query side by side. The second table has what "
        "batching gains the networks by themselves."
    )
    alone = networks_alone(task, options.images)
    compared = against_plain(task, [*DIFFUSION, *LATENT], options.images, options.rounds)
    write_section(REPORT, "A batch at once against image by image", [plain, *compared, alone, made_by])
    both = against_dime(task, options.images, options.rounds)
    write_section(REPORT, "`fast-dime` against `dime`", [f"{said} Default parameters.", *both, made_by])


if __name__ == "__main__":
    main()
