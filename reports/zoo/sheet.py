"""Pictures of the generators of a task, and a table of how good they are.

    OMP_NUM_THREADS=1 python reports/zoo/sheet.py [TASK ...] [--private DIR]

Writes ``reports/zoo/<task>.png``: samples of each generator, a column a class where it knows classes (with the query's
attributes where it knows attributes), and one test query of each class above its reconstructions. Sheets of tasks whose
images may not be shared go to ``DIR``, or nowhere. Writes the table of all tasks to ``reports/zoo/README.md``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from cfbench.dataset import Dataset
from cfbench.folders import FolderDataset
from cfbench.images import dequantise
from cfbench.networks import VAE
from cfbench.registry import DATASETS, load_dataset

FOLDER = Path(__file__).parent
ROLES = ("vae", "gan", "diffusion")
ROWS = 4
SEED = 0


def queries(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """The first test query of each class, as images in [0, 1], and the classes."""
    split = dataset.split("test")
    first = [int((split.labels == label).nonzero()[0]) for label in range(len(dataset.classes))]
    return dequantise(split.images[first]), split.labels[first]


def described(dataset: Dataset, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """What a generator is given for queries: their classes, or the attributes that a frozen network reads."""
    if network.classes == len(dataset.classes):
        return labels
    return dataset.network("attributes")(images).sigmoid()


def panels(dataset: Dataset, roles: list[str]) -> dict[str, tuple[list[str], Tensor]]:
    """Names of the rows and images ``[rows, classes, C, H, W]`` of each panel, by its title."""
    images, labels = queries(dataset)
    stream = torch.Generator().manual_seed(SEED)
    samples: dict[str, tuple[list[str], Tensor]] = {}
    reconstructed = {"query": images}
    with torch.inference_mode():
        for role in roles:
            network = dataset.network(role)
            if isinstance(network, VAE):
                drawn = network.decode(torch.randn(ROWS * len(labels), network.latent, generator=stream))
                reconstructed[role] = network(images)
            else:
                conditions = described(dataset, network, images, labels)
                every = conditions.repeat(ROWS, *[1] * (conditions.ndim - 1))
                drawn = network.sample(every, generator=stream)
                reconstructed[role] = network.reconstruct(images, conditions)
            samples[f"samples: {role}"] = ([""] * ROWS, drawn.unflatten(0, (ROWS, -1)))
    names = list(reconstructed)
    return samples | {"queries and their reconstructions": (names, torch.stack(list(reconstructed.values())))}


def sheet(dataset: Dataset, roles: list[str]) -> Figure:
    """All panels below each other."""
    found = panels(dataset, roles)
    heights = [len(rows) for rows, _ in found.values()]
    columns = len(dataset.classes)
    figure = Figure(figsize=(max(0.7 * columns, 2.4) + 1.2, 0.7 * sum(heights) + 2.4), layout="compressed")
    axes = figure.subplots(len(found), 1, height_ratios=heights)
    for axis, (title, (rows, images)) in zip(axes, found.items(), strict=True):
        side = images.shape[-1]
        tiled = images.permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2)
        axis.imshow(tiled.numpy(), cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=9)
        axis.set_yticks([side * (row + 0.5) for row in range(len(rows))], rows, fontsize=8)
        names = [""] * columns if title.endswith("vae") else dataset.classes
        axis.set_xticks([side * (column + 0.5) for column in range(columns)], names, fontsize=7)
        axis.tick_params(length=0)
        for edge in axis.spines.values():
            edge.set_visible(False)
    return figure


def row(dataset: Dataset, role: str) -> str:
    """The generator's line of the table."""
    entry = dataset.entry(role)
    quality = entry.quality
    name = dataset.name if isinstance(dataset, FolderDataset) else f"[{dataset.name}]({dataset.name}.png)"
    agreement = f"{quality['class_agreement']:.3f}" if "class_agreement" in quality else ""
    return (
        f"| {name} | {role} | {entry.architecture} | {entry.parameters / 1e6:.2f} M "
        f"| {entry.bytes / 1e6:.2f} MB | {entry.seconds / 60:.0f} min | {agreement} "
        f"| {quality['fd']:.3f} ({quality['fd_floor']:.3f}) | {quality['mse']:.4f} | {quality['l1']:.3f} |"
    )


def table(built: dict[Dataset, list[str]]) -> str:
    """``README.md`` of all tasks that have generators."""
    lines = [
        "# Generators of the model zoo",
        "",
        "Made by `python reports/zoo/sheet.py` from the frozen networks and their manifests; how they are trained and",
        "measured is in `cfbench/generators.py` and its neighbours. Agreement: share of 1,000 samples whose class an",
        "oracle confirms, the mean over three oracles, which took no part in training. fd: Fréchet distance of the",
        "samples to held-out images on the task's extractor, and its floor, that of as many other held-out images.",
        "mse, L1: of test images reconstructed by encoder and decoder; of the diffusion model by 30 steps of DDIM",
        "backwards and forwards.",
        "Generators that tasks share are listed once, with the first; those of CelebA are of 40 attributes, the GAN of",
        "MNIST is of classes, thickness, slant and width.",
        "Training is the wall time of one thread on a machine that did other work too.",
        "",
        "| task | role | architecture | weights | file | training | agreement | fd (floor) | mse | L1 |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(row(dataset, role) for dataset, roles in built.items() for role in roles),
    ]
    return "\n".join(lines) + "\n"


def _own(dataset: Dataset, role: str) -> bool:
    """Whether the data set has such a generator in a file of its own."""
    entry = dataset.manifest.networks.get(role)
    return entry is not None and not entry.file.startswith("..")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help="by default all that have generators")
    parser.add_argument("--private", type=Path, help="folder for sheets of images that may not be shared")
    arguments = parser.parse_args()
    everything = [load_dataset(name) for name in DATASETS.names()]
    built = {dataset: [role for role in ROLES if _own(dataset, role)] for dataset in everything}
    built = {dataset: roles for dataset, roles in built.items() if roles}
    for dataset, roles in built.items():
        folder = arguments.private if isinstance(dataset, FolderDataset) else FOLDER
        if folder and (not arguments.tasks or dataset.name in arguments.tasks):
            sheet(dataset, roles).savefig(folder / f"{dataset.name}.png", dpi=110)
    (FOLDER / "README.md").write_text(table(built), encoding="utf-8")


if __name__ == "__main__":
    main()
