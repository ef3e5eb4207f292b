"""Building what a task freezes: networks from their recipes, splits from the published images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from cfbench.dataset import QUERY_SPLITS, Dataset, RawData
from cfbench.errors import InvalidParameter
from cfbench.files import sha256_file, write_atomic
from cfbench.identity import training_identity
from cfbench.images import dequantise
from cfbench.manifest import Manifest, NetworkEntry, file_entry
from cfbench.session import SECONDS, Checkpoints, Progress, Session

SPLIT_SEED = 2022
"""Seed of every draw that makes a split; changing it makes another version of the data set."""


def _open_manifest(dataset: Dataset, folder: Path) -> Manifest:
    if (folder / "manifest.json").is_file():
        return type(dataset)(folder).manifest
    return Manifest(version=dataset.version)


def frozen_network(dataset: Dataset, name: str, folder: Path) -> nn.Module:
    """A frozen network as built in ``folder``, or else the one that ``dataset`` has.

    Raises:
        MissingResource: neither has it; says which command builds it.
    """
    own = type(dataset)(folder)
    if (folder / "manifest.json").is_file() and name in own.manifest.networks:
        return own.network(name)
    return dataset.network(name)


def _stored(value: Tensor, *, half: bool) -> Tensor:
    return (value.half() if half and value.is_floating_point() else value).contiguous()


CHECKPOINTS = "checkpoints"
"""Folder of unfinished trainings, below the one that networks are built in."""


def train_network(
    dataset: Dataset,
    name: str,
    raw: RawData,
    folder: Path,
    progress: Progress | None = None,
    *,
    resume: bool = False,
    seconds: float = SECONDS,
    device: str | torch.device = "cpu",
) -> NetworkEntry:
    """Train one network by its recipe and write its weights and manifest entry into ``folder``.

    Args:
        progress: told the finished share and the current loss.
        resume: whether to go on from the last checkpoint below ``folder``, if there is one; if not, it is removed.
        seconds: longest time between two checkpoints.
        device: where to train; quality is measured on the CPU.

    Raises:
        RunMismatch: the checkpoint is of another recipe, data or version of torch.
    """
    from safetensors.torch import save_file

    spec = dataset.networks[name]
    networks = partial(frozen_network, dataset, folder=folder)
    data = raw.training
    checkpoints = Checkpoints(
        folder / CHECKPOINTS, name, training_identity(dataset, name, data), resume=resume, seconds=seconds
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        network = spec.build().to(device)
        session = Session(progress, checkpoints)
        spec.recipe.fit(network, data, seed=spec.seed, networks=lambda name: networks(name).to(device), session=session)
        network.cpu()
    if spec.half:
        network.half().float()
    spent = checkpoints.spent
    quality = spec.recipe.quality(network, raw.test, networks=networks)
    file = f"networks/{name}.safetensors"
    state = {key: _stored(value, half=spec.half) for key, value in network.state_dict().items()}
    write_atomic(folder / file, partial(save_file, state))
    entry = NetworkEntry(
        **file_entry(folder, file).model_dump(),
        role=spec.role,
        architecture=spec.description,
        parameters=sum(weight.numel() for weight in network.parameters()),
        command=f"cfbench prepare {dataset.name} --train --only {name}",
        seed=spec.seed,
        threads=torch.get_num_threads(),
        seconds=round(spent, 1),
        quality={key: round(value, 6) for key, value in quality.items()},
    )
    manifest = _open_manifest(dataset, folder)
    manifest.networks[name] = entry
    manifest.networks = {key: manifest.networks[key] for key in dataset.networks if key in manifest.networks}
    manifest.write(folder)
    checkpoints.remove()
    return entry


def unfinished(folder: Path, name: str) -> bool:
    """Whether there is a checkpoint of the training of a network below ``folder``."""
    return bool(Checkpoints.files(folder / CHECKPOINTS, name))


def _finished(dataset: Dataset, name: str, folder: Path) -> NetworkEntry | None:
    """The manifest entry of a network that was built in ``folder`` and is whole."""
    entry = _open_manifest(dataset, folder).networks.get(name)
    whole = entry and (folder / entry.file).is_file() and sha256_file(folder / entry.file) == entry.sha256
    return entry if whole else None


def train_networks(
    dataset: Dataset,
    names: Iterable[str],
    raw: RawData,
    folder: Path,
    *,
    report: Callable[[str], Progress | None],
    resume: bool = False,
    seconds: float = SECONDS,
    device: str | torch.device = "cpu",
) -> dict[str, NetworkEntry]:
    """Train several networks in turn; ``report(name)`` gives the progress callback of each.

    With ``resume``, those that are finished in ``folder`` are left as they are. The rest as in :func:`train_network`.
    """
    built = {}
    for name in names:
        finished = _finished(dataset, name, folder) if resume else None
        built[name] = finished or train_network(
            dataset, name, raw, folder, report(name), resume=resume, seconds=seconds, device=device
        )
    return built


def _ranked(classifier: nn.Module, images: Tensor) -> np.ndarray:
    """The classifier's first and second class of each image, ``[N, 2]``."""
    with torch.inference_mode():
        logits = torch.cat([classifier(dequantise(part)) for part in images.split(500)])
    ranked: np.ndarray = logits.argsort(dim=1, descending=True)[:, :2].numpy()
    return ranked


def _in_turn(candidates: list[np.ndarray], count: int, *, balanced: bool) -> np.ndarray:
    """At most ``count`` indices that take the classes in turn while they last, so that prefixes are balanced.

    Raises:
        InvalidParameter: ``balanced``, and there are not equally many of each class.
    """
    fewest = min(len(indices) for indices in candidates)
    if balanced and (count % len(candidates) or fewest * len(candidates) < count):
        raise InvalidParameter(
            f"a split of {count} images needs {count / len(candidates):g} of each of {len(candidates)} classes; "
            f"the smallest class has {fewest} left: choose a smaller multiple of the number of classes"
        )
    turns = np.concatenate([np.arange(len(indices)) for indices in candidates])
    labels = np.repeat(np.arange(len(candidates)), [len(indices) for indices in candidates])
    taken: np.ndarray = np.concatenate(candidates)[np.lexsort((labels, turns))][:count]
    return taken


def freeze_splits(dataset: Dataset, raw: RawData, classifier: nn.Module, folder: Path) -> Manifest:
    """Draw and write the splits of ``dataset``: queries the classifier gets right, references, training pool.

    Queries (test, validation) and references are disjoint held-out images, the pool are training images.
    ``near`` is the class the classifier ranks second, ``any`` a seeded uniform draw among the other classes.
    """
    random = np.random.default_rng(SPLIT_SEED)
    classes = len(dataset.classes)
    origins = {
        "test": raw.test,
        "validation": raw.validation or raw.test,
        "reference": raw.reference or raw.test,
        "pool": raw.train,
    }
    left: dict[int, np.ndarray] = {}
    chosen: dict[str, np.ndarray] = {}
    ranks: dict[str, np.ndarray] = {}
    for split, origin in origins.items():
        labels = origin.labels.numpy()
        free = left[id(origin)] if id(origin) in left else random.permutation(len(origin))
        usable = free
        if split in QUERY_SPLITS:
            ranks[split] = _ranked(classifier, origin.images)
            usable = free[ranks[split][free, 0] == labels[free]]
        by_class = [usable[labels[usable] == label] for label in range(classes)]
        chosen[split] = _in_turn(by_class, dataset.split_sizes[split], balanced=dataset.balanced)
        left[id(origin)] = free[~np.isin(free, chosen[split])]

    manifest = _open_manifest(dataset, folder)
    manifest.splits = {}
    for split, indices in chosen.items():
        origin = origins[split]
        table = pd.DataFrame(
            {
                "image_id": [f"{split}-{position:05d}" for position in range(len(indices))],
                "raw_index": indices if origin.numbers is None else origin.numbers.numpy()[indices],
                "label": origin.labels.numpy()[indices],
            }
        )
        if split in QUERY_SPLITS:
            first, second = ranks[split][indices].T
            offset = random.integers(1, classes, size=len(indices))
            table = table.assign(source=first, near=second, any=(first + offset) % classes)
        if dataset.truth is not None:
            factors = dataset.truth.read(origin.images[indices]).numpy()
            table = table.join(pd.DataFrame(factors, columns=list(dataset.truth.factors)).round(6))
        file = f"splits/{split}.csv"
        write_atomic(folder / file, partial(table.to_csv, index=False, lineterminator="\n"))
        manifest.splits[f"{split}.csv"] = file_entry(folder, file)
    parts = {split: origins[split].images[indices] for split, indices in chosen.items()}
    manifest.splits |= dataset.write_images(folder, parts)
    manifest.write(folder)
    return manifest
