"""``vae-latent`` and ``dive`` against xGEM and DiVE of bex 0.5.2 on the same networks, queries, steps and threads.

    pip install --no-deps bex==0.5.2                    # beside cfbench, in an environment of its own
    pip install h5py pandas requests scikit-learn tqdm
    python tests/benchmarks/peers/latent.py [--images 50] [--rounds 3]

Writes a section of ``reports/generative-speed.md``. The peer's explainers get the task's frozen VAE and classifier,
which answers with the odds of the target against all other classes, as bex knows two; one query at a time, and all at
once. Their DiVE deals the latent out at random, which saves it the Fisher information. Of the explanations of a query
the one that the classifier is surest of is judged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bex.explainers import Dive, Xgem
from torch import Tensor

from cfbench.allocation import keep_freed_memory
from cfbench.images import quantise
from cfbench.registry import METHODS, load_dataset
from cfbench.task import Task
from cfbench.view import MethodView

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from speed import Turns, conditions, flips, one_by_one, reached, table, take_turns, write_section  # noqa: E402

STEPS, RATE, EXPLANATIONS = 50, 0.1, 8
FLIPPED = 0.6
"""Target probability of an image that is little more than flipped."""


def xgem() -> Any:
    return Xgem(num_explanations=1, lr=RATE, num_iters=STEPS)


def dive() -> Any:
    explainer = Dive(num_explanations=EXPLANATIONS, lr=RATE, num_iters=STEPS, method="random")
    explainer.cache = True
    return explainer


@dataclass(frozen=True)
class Case:
    """A method with its parameters, and the peer's explainer."""

    label: str
    method: str
    peer: Callable[[], Any]
    settings: dict[str, Any]


def cases() -> list[Case]:
    """Both methods with the confidence of their defaults, and with one at which little more than the flip is asked."""
    search = {"steps": STEPS, "rate": RATE}
    several = {**search, "explanations": EXPLANATIONS}
    return [
        Case("`vae-latent` / xGEM", "vae-latent", xgem, search),
        Case(f"`vae-latent` until {FLIPPED} / xGEM", "vae-latent", xgem, {**search, "confidence": FLIPPED}),
        Case("`dive` / DiVE", "dive", dive, several),
        Case(f"`dive` until {FLIPPED} / DiVE", "dive", dive, {**several, "confidence": FLIPPED}),
    ]


class Peer:
    """An explainer of bex on the frozen networks of a task."""

    def __init__(self, task: Task, explainer: Any) -> None:
        self.vae, self.classifier, self.explainer = task.load("vae"), task.load(task.classifier), explainer

    def odds(self, images: Tensor, targets: Tensor) -> Tensor:
        """Logits ``[B, 1]`` of the targets against all other classes."""
        logits = self.classifier(images)
        others = logits.scatter(1, targets[:, None], -torch.inf)
        return logits.gather(1, targets[:, None]) - others.logsumexp(1, keepdim=True)

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        count = self.explainer.num_explanations
        asked = targets.repeat_interleave(count)
        with torch.no_grad():
            codes = self.vae.encode(images)[0]
            start = self.odds(self.vae.decode(codes), targets)
        found = self.explainer.explain_batch(codes, start, images, lambda made: self.odds(made, asked), self.vae.decode)
        with torch.no_grad():
            made = self.vae.decode(found.flatten(0, 1))
            surest = self.odds(made, asked).view(-1, count).argmax(1)
        return made.unflatten(0, (-1, count))[torch.arange(len(images)), surest]


def row(case: Case, task: Task, images: int, rounds: int) -> tuple[list[str], Turns]:
    method = METHODS.load(case.method)(**case.settings)
    method.setup(MethodView(task, method.needs))
    peer = Peer(task, case.peer())
    queries, targets = task.images(slice(0, images)), task.targets[:images]
    torch.manual_seed(0)
    ways = {
        "one": lambda: quantise(one_by_one(peer, queries, targets)),
        "all": lambda: quantise(peer(queries, targets)),
        "ours": lambda: method(queries, targets, seeds=range(images)).images,
    }
    turns = take_turns(ways, rounds, case.label)
    flipped = " / ".join(flips(peer.classifier, turns.made[way], targets) for way in ways)
    moved = " / ".join(f"{float((turns.made[way] / 255 - queries).abs().mean()):.3f}" for way in ways)
    rates = [turns.rate(way) for way in ways]
    return [case.label, *rates, turns.times("one", "ours"), turns.times("all", "ours"), flipped, moved], turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("images", 50), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    keep_freed_memory()
    task = Task(load_dataset("fashion-mnist"), split="validation")
    said = (
        f"{conditions(options.images, options.rounds)} The same frozen VAE and classifier; Adam at {RATE:g} for "
        f"{STEPS} steps, {EXPLANATIONS} explanations a query of DiVE. bex takes all of its steps; cfbench takes an "
        f"image once the target has the confidence of its defaults (.99), or {FLIPPED} where the row says so."
    )
    head = ["method", "bex one by one, images a second", "all at once", "cfbench", "times one by one"]
    rows = [row(case, task, options.images, options.rounds) for case in cases()]
    compared = table([*head, "times all at once", "flip rates", "L1"], [cells for cells, _ in rows])
    aims = [
        reached(3, than, {cells[0]: turns.ratio(way, "ours") for cells, turns in rows})
        for way, than in (("one", "bex one by one"), ("all", "bex all at once"))
    ]
    made_by = "Made by `python tests/benchmarks/peers/latent.py`."
    write_section(ROOT / "reports" / "generative-speed.md", "Against bex 0.5.2", [said, compared, *aims, made_by])


if __name__ == "__main__":
    main()
