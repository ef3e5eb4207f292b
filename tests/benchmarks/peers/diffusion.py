"""``dime``, ``fast-dime`` and ``ace`` against peal-xai 0.1.0 on the same networks, queries, steps and threads.

    pip install "peal-xai[mpi]==0.1.0" mpich  # beside cfbench, in an environment of its own
    python tests/benchmarks/peers/diffusion.py [--images 20] [--rounds 3]

Writes a section of ``reports/generative-speed.md``. The peer's own sampling functions, attack and inpainting are called
with the task's frozen classifier and diffusion model, one query at a time, which is its default, and with all at once.
Its images are the blocks of pixels that the model works in. The loop over scales, which it has in a script, is written
out.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from peal.dependencies.ace.core.attacks_and_models import JointClassifierDDPM, get_attack
from peal.dependencies.ace.guided_diffusion import gaussian_diffusion as gd
from peal.dependencies.ace.guided_diffusion.respace import SpacedDiffusion
from peal.dependencies.ace.run_ace import filter_fn
from peal.dependencies.FastDiME_CelebA.core.sample_utils import (
    clean_multiclass_cond_fn,
    dist_cond_fn,
    get_DiME_iterative_sampling,
    get_FastDiME_iterative_sampling,
)
from torch import Tensor, nn

from cfbench.allocation import keep_freed_memory
from cfbench.denoising import Chain
from cfbench.images import quantise
from cfbench.networks import Diffusion
from cfbench.registry import METHODS, load_dataset
from cfbench.task import Task
from cfbench.view import MethodView

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from speed import Turns, conditions, flips, one_by_one, reached, table, take_turns, write_section  # noqa: E402

STEPS, DEPTH = 30, 15
SCALES, PROXIMITY = (8.0, 10.0, 15.0), 0.05
WARMUP, THRESHOLD, DILATION = 0.5, 0.15, 5
ITERATIONS, RATE, ATTACKED = 10, 4 / 255, 5
NEVER = 0.999999
"""A confidence that is not reached, so that both take every step of the attack."""

GUIDED = {"scales": SCALES, "proximity": PROXIMITY, "perception": 0.0, "pull": "probability", "confidence": 0.5}
SETTINGS: dict[str, dict[str, Any]] = {
    "dime": {**GUIDED, "steps": STEPS, "depth": DEPTH},
    "fast-dime": {**GUIDED, "steps": STEPS, "depth": DEPTH, "warmup": WARMUP},
    "ace": {"iterations": ITERATIONS, "rate": RATE, "confidence": NEVER, "steps": STEPS, "depth": ATTACKED},
}


class Estimate(nn.Module):
    """The frozen diffusion model as the peer takes one: predicts x_0 of x at a step."""

    def __init__(self, model: Diffusion) -> None:
        super().__init__()
        self.model = model

    def forward(self, noised: Tensor, steps: Tensor, **_: Any) -> Tensor:
        free = noised.new_zeros(len(noised), self.model.classes)
        return self.model.clean(noised, self.model(noised, steps, free), steps)


class OfBlocks(nn.Module):
    """The frozen classifier, of blocks of pixels in [-1, 1], or in [0, 1] if ``unit``."""

    def __init__(self, model: Diffusion, classifier: nn.Module, *, unit: bool) -> None:
        super().__init__()
        self.codec, self.classifier, self.unit = model.codec, classifier, unit

    def forward(self, values: Tensor) -> Tensor:
        return self.classifier(self.codec.decode(2 * values - 1 if self.unit else values))


class Peer:
    """The three methods of peal-xai on the frozen networks of a task."""

    def __init__(self, task: Task) -> None:
        self.model, classifier = task.load("diffusion"), task.load(task.classifier)
        self.signed, self.unit = (OfBlocks(self.model, classifier, unit=unit) for unit in (False, True))
        self.diffusion = SpacedDiffusion(
            Chain(self.model, count=STEPS, depth=STEPS).steps,
            betas=self.model.noising.betas.double().numpy(),
            model_mean_type=gd.ModelMeanType.START_X,
            model_var_type=gd.ModelVarType.FIXED_SMALL,
            loss_type=gd.LossType.MSE,
        )
        self.estimate = Estimate(self.model)

    def guided(self, sample: Callable[..., Any], images: Tensor, targets: Tensor, **settings: Any) -> Tensor:
        """DiME and FastDiME: scales in turn for the queries that are not flipped yet."""
        values = self.model.codec.encode(images)
        deepest = torch.full((len(values),), DEPTH - 1)
        noised = self.diffusion.q_sample(values, deepest)
        found, rows = values.clone(), torch.arange(len(values))
        for scale in SCALES:
            found[rows], _, _ = sample(
                self.diffusion,
                self.estimate,
                values[rows].shape,
                DEPTH,
                values[rows],
                deepest[rows],
                z_t=noised[rows],
                model_kwargs={},
                device="cpu",
                class_grad_fn=clean_multiclass_cond_fn,
                class_grad_kwargs={
                    "y": targets[rows],
                    "classifier": self.signed,
                    "s": scale,
                    "use_logits": False,
                },
                dist_grad_fn=dist_cond_fn,
                dist_grad_kargs={"l1_loss": PROXIMITY, "l2_loss": 0.0, "l_perc": None},
                **settings,
            )
            with torch.no_grad():
                rows = rows[self.signed(found[rows]).argmax(1) != targets[rows]]
            if not len(rows):
                break
        return self.model.codec.decode(found)

    def dime(self, images: Tensor, targets: Tensor) -> Tensor:
        return self.guided(get_DiME_iterative_sampling(use_sampling=True), images, targets)

    def fast_dime(self, images: Tensor, targets: Tensor) -> Tensor:
        masking = {
            "self_optimized_masking": True,
            "warmup_step": round(WARMUP * DEPTH),
            "dilation": DILATION,
            "masking_threshold": THRESHOLD,
            "boolmask": None,
        }
        sample = get_FastDiME_iterative_sampling(use_sampling=True)
        return self.guided(sample, images, targets, scale_grads=True, fast_dime_kwargs=masking)

    def ace(self, images: Tensor, targets: Tensor) -> Tensor:
        joint = JointClassifierDDPM(self.unit, self.estimate, self.diffusion, ATTACKED, True)
        attack = get_attack("PGD", False)(
            predict=joint,
            loss_fn=nn.CrossEntropyLoss(reduction="sum"),
            dist_fn=lambda one, other: 0.001 * (one - other).abs().sum(),
            eps=1.0,
            step=RATE,
            nb_iter=ITERATIONS,
            y_target_goal_confidence=NEVER,
            original_predictor=None,
        )
        blocks = F.pixel_unshuffle(images, self.model.codec.scale)
        made, *_ = filter_fn(
            self.diffusion,
            attack,
            self.estimate,
            blocks.shape,
            ATTACKED,
            blocks,
            self.unit,
            "cpu",
            True,
            targets,
            THRESHOLD,
            DILATION,
        )
        return F.pixel_shuffle(made, self.model.codec.scale)


def quietly(make: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """8-bit images without what the peer prints."""

    def made() -> Tensor:
        with contextlib.redirect_stdout(io.StringIO()):
            return quantise(make().detach().clamp(0, 1))

    return made


def row(name: str, task: Task, images: int, rounds: int) -> tuple[list[str], Turns]:
    method = METHODS.load(name)(**SETTINGS[name])
    method.setup(MethodView(task, method.needs))
    queries, targets = task.images(slice(0, images)), task.targets[:images]
    theirs = getattr(Peer(task), name.replace("-", "_"))
    torch.manual_seed(0)
    ways = {
        "one": quietly(lambda: one_by_one(theirs, queries, targets)),
        "all": quietly(lambda: theirs(queries, targets)),
        "ours": lambda: method(queries, targets, seeds=range(images)).images,
    }
    turns = take_turns(ways, rounds, name)
    flipped = " / ".join(flips(task.load(task.classifier), turns.made[way], targets) for way in ways)
    rates = [turns.rate(way) for way in ways]
    return [f"`{name}`", *rates, turns.times("one", "ours"), turns.times("all", "ours"), flipped], turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("images", 20), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    keep_freed_memory()
    task = Task(load_dataset("fashion-mnist"), split="validation")
    said = (
        f"{conditions(options.images, options.rounds)} The same frozen classifier and U-Net; DiME and FastDiME go down "
        f"{DEPTH} of {STEPS} steps, scales {', '.join(f'{scale:g}' for scale in SCALES)} until flipped; ACE takes "
        f"{ITERATIONS} steps through {ATTACKED} of them. The peer works on one query at a time by default."
    )
    head = ["method", "peal-xai one by one, images a second", "all at once", "cfbench", "times one by one"]
    rows = [row(name, task, options.images, options.rounds) for name in SETTINGS]
    compared = table([*head, "times all at once", "flip rates"], [cells for cells, _ in rows])
    aims = [
        reached(2, than, {cells[0]: turns.ratio(way, "ours") for cells, turns in rows})
        for way, than in (("one", "peal-xai one by one"), ("all", "peal-xai all at once"))
    ]
    made_by = "Made by `python tests/benchmarks/peers/diffusion.py`."
    write_section(ROOT / "reports" / "generative-speed.md", "Against peal-xai 0.1.0", [said, compared, *aims, made_by])


if __name__ == "__main__":
    main()
