"""Building what a task freezes: networks from their recipes, splits from the published images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from cfbench.dataset import QUERY_SPLITS, Dataset, FileEntry, Images, Manifest, NetworkEntry, Progress, RawData
from cfbench.errors import InvalidParameter
from cfbench.files import sha256_file, write_atomic, write_text
from cfbench.images import dequantise

SPLIT_SEED = 2022
"""Seed of every draw that makes a split; changing it makes another version of the data set."""


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    write_text(folder / "manifest.json", manifest.model_dump_json(indent=2) + "\n")


def _open_manifest(dataset: Dataset, folder: Path) -> Manifest:
    if (folder / "manifest.json").is_file():
        return type(dataset)(folder).manifest
    return Manifest(version=dataset.version)


def _entry(folder: Path, file: str) -> FileEntry:
    path = folder / file
    return FileEntry(file=file, bytes=path.stat().st_size, sha256=sha256_file(path))


def frozen_network(dataset: Dataset, name: str, folder: Path) -> nn.Module:
    """A frozen network as built in ``folder``, or else the one that ``dataset`` has.

    Raises:
        MissingResource: neither has it; says which command builds it.
    """
    own = type(dataset)(folder)
    if (folder / "manifest.json").is_file() and name in own.manifest.networks:
        return own.network(name)
    return dataset.network(name)


def train_network(dataset: Dataset, name: str, raw: RawData, folder: Path, progress: Progress) -> NetworkEntry:
    """Train one network by its recipe and write its weights and manifest entry into ``folder``."""
    from safetensors.torch import save_file

    spec = dataset.networks[name]
    networks = partial(frozen_network, dataset, folder=folder)
    started = time.monotonic()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        network = spec.build()
        spec.recipe.fit(network, raw.train, seed=spec.seed, networks=networks, progress=progress)
    seconds = time.monotonic() - started
    quality = spec.recipe.quality(network, raw.test, networks=networks)
    file = f"networks/{name}.safetensors"
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    write_atomic(folder / file, partial(save_file, state))
    entry = NetworkEntry(
        **_entry(folder, file).model_dump(),
        role=spec.role,
        architecture=spec.description,
        parameters=sum(weight.numel() for weight in network.parameters()),
        command=f"cfbench prepare {dataset.name} --train --only {name}",
        seed=spec.seed,
        threads=torch.get_num_threads(),
        seconds=round(seconds, 1),
        quality={key: round(value, 6) for key, value in quality.items()},
    )
    manifest = _open_manifest(dataset, folder)
    manifest.networks[name] = entry
    manifest.networks = {key: manifest.networks[key] for key in dataset.networks if key in manifest.networks}
    _write_manifest(folder, manifest)
    return entry


def train_networks(
    dataset: Dataset,
    names: Iterable[str],
    raw: RawData,
    folder: Path,
    *,
    report: Callable[[str], Progress],
) -> dict[str, NetworkEntry]:
    """Train several networks in turn; ``report(name)`` gives the progress callback of each."""
    return {name: train_network(dataset, name, raw, folder, report(name)) for name in names}


def _predict(classifier: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([classifier(dequantise(part)) for part in images.split(500)])


def _balanced(candidates: list[np.ndarray], count: int) -> np.ndarray:
    """``count`` indices that take the classes in turn, so that every prefix is balanced; removes what it takes."""
    share, rest = divmod(count, len(candidates))
    if rest or any(len(indices) < share for indices in candidates):
        fewest = min(len(indices) for indices in candidates)
        raise InvalidParameter(
            f"a split of {count} images needs {count / len(candidates):g} of each of {len(candidates)} classes; "
            f"the smallest class has {fewest} left: choose a smaller multiple of the number of classes"
        )
    taken = np.stack([indices[:share] for indices in candidates], axis=1).ravel()
    for label, indices in enumerate(candidates):
        candidates[label] = indices[share:]
    return taken


def freeze_splits(dataset: Dataset, raw: RawData, classifier: nn.Module, folder: Path) -> Manifest:
    """Draw and write the splits of ``dataset``: queries the classifier gets right, references, training pool.

    Queries (test, validation) and references are disjoint official test images, the pool are training images.
    ``near`` is the class the classifier ranks second, ``any`` a seeded uniform draw among the other classes.
    """
    random = np.random.default_rng(SPLIT_SEED)
    classes = len(dataset.classes)
    logits = _predict(classifier, raw.test.images)
    ranked = logits.argsort(dim=1, descending=True)[:, :2].numpy()
    labels = raw.test.labels.numpy()
    order = random.permutation(len(raw.test))
    right = [order[(labels[order] == label) & (ranked[order, 0] == label)] for label in range(classes)]
    chosen = {split: _balanced(right, dataset.split_sizes[split]) for split in QUERY_SPLITS}
    used = np.concatenate(list(chosen.values()))
    free = order[~np.isin(order, used)]
    chosen["reference"] = _balanced(
        [free[labels[free] == label] for label in range(classes)], dataset.split_sizes["reference"]
    )
    shuffled = random.permutation(len(raw.train))
    train_labels = raw.train.labels.numpy()
    pool = [shuffled[train_labels[shuffled] == label] for label in range(classes)]
    chosen["pool"] = _balanced(pool, dataset.split_sizes["pool"])

    manifest = _open_manifest(dataset, folder)
    manifest.splits = {}
    for split, indices in chosen.items():
        origin = raw.train if split == "pool" else raw.test
        table = pd.DataFrame(
            {
                "image_id": [f"{split}-{position:05d}" for position in range(len(indices))],
                "raw_index": indices,
                "label": origin.labels.numpy()[indices],
            }
        )
        if split in QUERY_SPLITS:
            table["source"] = ranked[indices, 0]
            table["near"] = ranked[indices, 1]
            offset = random.integers(1, classes, size=len(indices))
            table["any"] = (ranked[indices, 0] + offset) % classes
        _write_split(folder, manifest, split, table, Images(origin.images[indices], origin.labels[indices]))
    _write_manifest(folder, manifest)
    return manifest


def _write_split(folder: Path, manifest: Manifest, split: str, table: pd.DataFrame, data: Images) -> None:
    for suffix, write in (
        ("csv", lambda path: table.to_csv(path, index=False, lineterminator="\n")),
        ("npz", lambda path: np.savez_compressed(path, images=data.images.numpy())),
    ):
        file = f"splits/{split}.{suffix}"
        write_atomic(folder / file, write)
        manifest.splits[f"{split}.{suffix}"] = _entry(folder, file)
