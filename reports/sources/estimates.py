"""What the loss estimators say of counterfactuals and attacks: is it they that are fooled?

    python reports/sources/estimates.py [--runs runs]

Reads the runs of ``cfbench study reports/sources.toml``, lets each classifier's loss estimator read the stored images
and writes ``estimates.md``: the share of images whose estimate lies below tau (the median over training images that the
classifier gets right), so that the hinge costs nothing, and how far above it the others lie.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from cfbench.errors import CfbenchError
from cfbench.images import dequantise
from cfbench.needs import Needs
from cfbench.registry import load_dataset
from cfbench.store import RunFolder
from cfbench.study import Study, folder_of, task_of
from cfbench.task import Task
from cfbench.view import MethodView

FOLDER = Path(__file__).parent
PARTS = ("estimator", "estimator-joint", "estimator-lesions", "estimator-joint-lesions")
COUNT = 200
"""Images of each kind."""
PART = 50


@torch.inference_mode()
def excess(network: nn.Module, estimator: nn.Module, images: Tensor) -> Tensor:
    """How far estimates of 8-bit images ``[N, C, H, W]`` lie above tau, ``[N]``; below it, negative."""
    parts = [estimator(network.blocks(dequantise(part))) - estimator.threshold for part in images.split(PART)]
    return torch.cat(parts)


def row(part: str, task: Task, label: str, found: Tensor) -> str:
    below, above = float((found <= 0).double().mean()), float(found.clamp_min(0).mean())
    return (
        f"| {part} | {task.dataset.name} | `{task.classifier}` | {label} | {len(found)} | {below:.3f} | {above:.3f} |"
    )


def rows(study: Study, part: str, root: Path) -> list[str]:
    """Real images, the queries, and every row of a part that was run with seed 0."""
    cells = [cell for cell in study.cells if cell.part.name == part]
    task = task_of(cells[0])
    view = MethodView(task, Needs(gradients=True, networks=("loss-estimator",)))
    network, estimator = view.guarded, view.network("loss-estimator")
    real = load_dataset(cells[0].task).split("reference").images[-COUNT:]
    kinds = {"held-out real images": real, "queries": task.stored[:COUNT]}
    for cell in cells:
        try:
            shards = list(RunFolder(folder_of(cell, 0, root)).shards())
        except CfbenchError:
            continue
        if shards:
            kinds[f"`{cell.label}`"] = torch.cat([shard.images for shard in shards])[:COUNT]
    return [row(part, task, label, excess(network, estimator, images)) for label, images in kinds.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options = parser.parse_args()
    study = Study.read(FOLDER.parent / "sources.toml")
    lines = [
        "# What the loss estimators say",
        "",
        "Estimates of the loss that the network explained has on an image, against tau, the median over training "
        "images that it gets right. Below tau the hinge of `dip-loss` costs nothing. Seed 0.",
        "",
        "| part | task | network explained | images | n | share below tau | mean excess above tau |",
        "|---|---|---|---|---|---|---|",
        *(line for part in PARTS for line in rows(study, part, options.runs)),
        "",
        "Made by `python reports/sources/estimates.py`.",
    ]
    (FOLDER / "estimates.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
