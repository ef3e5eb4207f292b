"""What compiling, another memory layout or bfloat16 would bring the networks that methods and scores run, and cost.

    OMP_NUM_THREADS=1 python tests/benchmarks/precision.py [--images 100] [--rounds 5]

Writes ``reports/precision.md``. Compiling needs a C++ compiler.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from cfbench.provenance import device_name
from cfbench.registry import load_dataset
from cfbench.task import Task

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "reports" / "precision.md"
sys.path.insert(0, str(ROOT / "tests" / "support"))

from speed import table, take_turns  # noqa: E402

USED = "as used"
Network = Callable[[Tensor], Tensor]


class Judged(nn.Module):
    """A classifier of the images that a decoder makes of latents."""

    def __init__(self, decode: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.decode, self.classifier = decode, classifier

    def forward(self, codes: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.decode(codes).sigmoid())
        return logits


class Untold(nn.Module):
    """A diffusion model that is told no class, in the middle of its chain."""

    def __init__(self, model: nn.Module, classes: int) -> None:
        super().__init__()
        self.model, self.classes = model, classes

    def forward(self, values: Tensor) -> Tensor:
        velocities: Tensor = self.model(values, torch.full((len(values),), 300), torch.zeros(len(values), self.classes))
        return velocities


def bfloat16(network: Network) -> Network:
    def cast(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return network(images).float()

    return cast


def variants(network: nn.Module, example: Tensor, *, sloped: bool) -> tuple[dict[str, Network], float]:
    """The network in each form, and the seconds that compiling took."""
    compiled = torch.compile(network)
    started = time.perf_counter()
    run(compiled, example, sloped=sloped)
    seconds = time.perf_counter() - started
    contiguous = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    return {
        USED: network,
        "contiguous": contiguous,
        "compiled": compiled,
        "bfloat16": bfloat16(network),
    }, seconds


def run(network: Network, start: Tensor, *, sloped: bool) -> Tensor:
    """What the network gives, or the gradient of the sum of its largest answers with respect to ``start``."""
    if not sloped:
        with torch.inference_mode():
            return network(start)
    start = start.detach().requires_grad_()
    return torch.autograd.grad(network(start).amax(1).sum(), start)[0]


def changed(made: Tensor, used: Tensor) -> str:
    """By how much the answers differ, relative to their root mean square."""
    return f"{float((made - used).square().mean().sqrt() / used.square().mean().sqrt()):.1e}"


def section(label: str, network: nn.Module, start: Tensor, rounds: int, *, sloped: bool) -> list[list[str]]:
    ways, seconds = variants(network, start, sloped=sloped)
    calls = {way: (lambda form=form: run(form, start, sloped=sloped)) for way, form in ways.items()}
    turns = take_turns(calls, rounds, label)
    rows = []
    for way, made in turns.made.items():
        once = f"{seconds:.0f} s" if way == "compiled" else ""
        against = "" if way == USED else turns.times(USED, way)
        rows.append([label, way, turns.rate(way), against, changed(made, turns.made[USED]), once])
    return rows


def moved_scores(task: Task) -> str:
    """Predictions on all queries that bfloat16 changes, of every network whose predictions are scored."""
    images = task.images(slice(None))
    found = []
    for name in (task.classifier, *task.dataset.names("oracle")):
        network = task.load(name)
        used, cast = (run(form, images, sloped=False).argmax(1) for form in (network, bfloat16(network)))
        found.append(f"`{name}` {int((used != cast).sum())}")
    return f"Predictions on {len(images)} queries that bfloat16 changes: {', '.join(found)}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("images", 100), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    task = Task(load_dataset("fashion-mnist"))
    images = task.images(slice(0, options.images))
    classifier, vae, diffusion = (task.load(name) for name in (task.classifier, "vae", "diffusion"))
    noise = torch.Generator().manual_seed(0)
    codes = torch.randn(options.images, vae.latent, generator=noise)
    values = torch.randn(options.images, *diffusion.shape, generator=noise)
    untold = Untold(diffusion, diffusion.classes)
    rows = [
        *section("classifier", classifier, images, options.rounds, sloped=False),
        *section("classifier, gradient", classifier, images, options.rounds, sloped=True),
        *section(
            "VAE's decoder and classifier, gradient",
            Judged(vae.decoder, classifier),
            codes,
            options.rounds,
            sloped=True,
        ),
        *section("diffusion model", untold, values, options.rounds, sloped=False),
    ]
    head = ["network", "form", "images a second", f"times {USED!r}", "relative change", "compiling"]
    threads = torch.get_num_threads()
    REPORT.write_text(
        "# Compiled networks, memory layouts and bfloat16\n\n"
        f"Batches of {options.images} images of fashion-mnist, {threads} thread{'s' * (threads > 1)}, "
        f"{device_name('cpu')}, torch {torch.__version__}; medians of {options.rounds} rounds in one run, ratios round "
        "by round. Networks are used in 32 bits with weights laid out channels-last; the change is the root mean "
        "square of the difference of what they give, over that of what they give.\n\n"
        f"{table(head, rows)}\n\n{moved_scores(task)}\n\nMade by `OMP_NUM_THREADS=1 python "
        "tests/benchmarks/precision.py`.\n"
    )
    print(REPORT.read_text())


if __name__ == "__main__":
    main()
