"""cfbench's scores against pytorch-fid, lpips and torchmetrics, each run by itself: seconds, and the values of both.

Random weights stand in for the official ones, which are as fast; what they give is no FID and no LPIPS.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torch import Tensor, nn

from cfbench.dataset import Images
from cfbench.distances.frechet import Moments, frechet_distance
from cfbench.distances.vectors import Floats
from cfbench.files import CACHE_VARIABLE
from cfbench.images import dequantise
from cfbench.inception import FEATURES, FastInception
from cfbench.judges import Judges, members_of
from cfbench.metrics.base import Metric
from cfbench.metrics.official import FID, LPIPS, inception, rgb
from cfbench.pieces import COSTS, Piece
from cfbench.registry import METRICS
from cfbench.scoring import score
from cfbench.spaces import Space
from cfbench.task import Task

FIRST, AGAIN = "cfbench, first run of a task", "cfbench, later runs"
BATCH = 50
"""Images that the other tools take at once, which is pytorch-fid's default."""

ALSO = ("ssim", "l1", "l2", "flip_rate", "oracle_agreement")
"""Scores that are made beside Frechet and perceptual distance."""


@dataclass
class Contest:
    """What one score, or several, took by tool.

    Attributes:
        seconds: of every round, by tool. values: what tools gave in the last round, by tool and score.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    values: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))

    def run(self, tool: str, work: Callable[[], Mapping[str, float]]) -> None:
        """Time ``work`` once and keep what it gives."""
        started = time.perf_counter()
        found = work()
        self.seconds[tool].append(time.perf_counter() - started)
        self.values[tool].update(found)


class _Frechet(FID):
    minimum = 2


class _Perceptual(LPIPS):
    network = "random weights"

    def __init__(self, judges: Judges, network: nn.Module) -> None:
        super().__init__(judges)
        self._network = network

    def blocked(self) -> None:
        return None


@dataclass(frozen=True)
class _Networks:
    """The networks that all tools share."""

    inception: nn.Module
    perceptual: nn.Module

    @classmethod
    def random(cls) -> _Networks:
        import lpips

        with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):
            torch.manual_seed(0)
            like = torchvision.models.inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
            perceptual = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
            return cls(inception(like.state_dict).eval(), perceptual.eval())


def scoring_contest(task: Task, *, images: int, rounds: int) -> Contest:
    """Frechet and perceptual distance and ``ALSO``: in one pass, or by one tool after the other.

    The first queries of a task are compared with each other's neighbours. Features of as many held-out real images,
    from which our floor is drawn, are there before; those of the queries are kept after the first run, as they are the
    same for every method.

    Args:
        images: at least 2; features of the queries are kept from ``WORTH_KEEPING`` on. rounds: how often each.

    Raises:
        ImportError: torchmetrics is not installed. TypeError: pytorch-fid is too old for the scipy that is.
    """
    networks, queries = _Networks.random(), task.stored[:images]
    count = len(queries)
    costs = {name: torch.ones(count, dtype=torch.float64) for name in COSTS}
    made = queries.roll(1, 0)
    piece = Piece(0, queries, task.sources[:count], task.targets[:count], made, [""] * count, costs)
    reference = task.dataset.split("reference")
    members = [replace(member, load=cache(member.load)) for member in members_of(task.dataset)]
    fast = FastInception(networks.inception)
    space = Space("inception", "random weights", lambda images: _features(fast, images), published=True)

    def judges() -> Judges:
        return Judges(
            members,
            classes=task.num_classes,
            image_shape=task.dataset.image_shape,
            reference=lambda: Images(reference.images[:count], reference.labels[:count]),
        )

    contest = Contest()
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder, _cache(folder):
            for tool in (FIRST, AGAIN):
                judged = judges()
                judged.reference_features(space)
                contest.run(tool, partial(_ours, piece, judged, space, networks.perceptual))
        with tempfile.TemporaryDirectory() as folder:
            files = [_files(Path(folder) / name, part) for name, part in (("made", made), ("queries", queries))]
            contest.run("pytorch-fid", partial(_pytorch_fid, files, networks.inception))
        contest.run("lpips", partial(_lpips, made, queries, networks.perceptual))
        contest.run("torchmetrics", partial(_torchmetrics, piece, judges()))
    return contest


def frechet_contest(*, images: int, rounds: int, features: int = FEATURES) -> Contest:
    """The Frechet distance of two sets of feature vectors, moments included.

    Args:
        images: vectors of each set, drawn at random, rectified, correlated as features of images are.

    Raises:
        TypeError: pytorch-fid is too old for the scipy that is installed.
    """
    sets = [_vectors(images, features, seed) for seed in (0, 1)]
    contest = Contest()
    for _ in range(rounds):
        contest.run("cfbench", lambda: {"frechet": frechet_distance(*(Moments.of(each).gaussian for each in sets))})
        contest.run("pytorch-fid", lambda: {"frechet": _plain_frechet(sets)})
    return contest


def _features(network: FastInception, images: Tensor) -> Tensor:
    features: Tensor = network(rgb(images))
    return features


def _ours(piece: Piece, judges: Judges, space: Space, perceptual: nn.Module) -> dict[str, float]:
    chosen: list[Metric] = [_Frechet(judges, space), _Perceptual(judges, perceptual)]
    chosen += [METRICS.load(name)(judges) for name in ALSO]
    scored = score([piece], judges, metrics=chosen)
    return {name: float(each["all"].value or 0) for name, each in scored.scores.items()}


def _files(folder: Path, images: Tensor) -> list[Path]:
    folder.mkdir()
    files = [folder / f"{index:05}.png" for index in range(len(images))]
    for file, image in zip(files, rgb(images), strict=True):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file)
    return files


def _pytorch_fid(sets: Sequence[Sequence[Path]], network: nn.Module) -> dict[str, float]:
    from pytorch_fid import fid_score

    moments = [fid_score.calculate_activation_statistics(files, network, BATCH, FEATURES, "cpu", 1) for files in sets]
    return {"fid": _distance(moments)}


def _plain_frechet(sets: Sequence[Floats]) -> float:
    return _distance([(each.mean(axis=0), np.cov(each, rowvar=False)) for each in sets])


def _distance(moments: Sequence[tuple[Floats, Floats]]) -> float:
    """By pytorch-fid, without its warnings of singular matrices and of an argument that scipy 1.18 no longer takes."""
    from pytorch_fid import fid_score

    with warnings.catch_warnings(action="ignore"):
        return float(fid_score.calculate_frechet_distance(*moments[0], *moments[1]))


@torch.inference_mode()
def _lpips(made: Tensor, queries: Tensor, network: nn.Module) -> dict[str, float]:
    distances = []
    for parts in zip(made.split(BATCH), queries.split(BATCH), strict=True):
        pair = [rgb(dequantise(part)) * 2 - 1 for part in parts]
        if min(made.shape[2:]) < LPIPS.SIDE:
            pair = [F.interpolate(part, size=(LPIPS.SIDE, LPIPS.SIDE), mode="bilinear") for part in pair]
        distances.append(network(*pair).flatten())
    return {"lpips": float(torch.cat(distances).mean())}


@torch.inference_mode()
def _torchmetrics(piece: Piece, judges: Judges) -> dict[str, float]:
    """One metric after the other, each with its own pass over the images."""
    from torchmetrics import MeanAbsoluteError, MeanSquaredError
    from torchmetrics.classification import MulticlassAccuracy
    from torchmetrics.image import StructuralSimilarityIndexMeasure

    def batches() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for made, queries, targets in zip(
            piece.stored.split(BATCH), piece.stored_queries.split(BATCH), piece.targets.split(BATCH), strict=True
        ):
            yield dequantise(made), dequantise(queries), targets

    def pixels(metric: Any) -> float:
        for made, queries, _ in batches():
            metric.update(made.contiguous(), queries.contiguous())
        return float(metric.compute())

    def agreement(name: str) -> float:
        metric = MulticlassAccuracy(num_classes=judges.num_classes, average="micro")
        for made, _, targets in batches():
            metric.update(judges.network(name)(made), targets)
        return float(metric.compute())

    return {
        "ssim": pixels(StructuralSimilarityIndexMeasure(data_range=1.0)),
        "l1": pixels(MeanAbsoluteError()),
        "mean squared error": pixels(MeanSquaredError()),
        "flip_rate": agreement(judges.classifier),
        "oracle_agreement": float(np.mean([agreement(name) for name in judges.oracles])),
    }


def _vectors(n: int, features: int, seed: int) -> Floats:
    mix = np.random.default_rng(99).normal(size=(features, features)) / np.sqrt(np.arange(1, features + 1))[:, None]
    vectors: Floats = np.random.default_rng(seed).normal(size=(n, features)) @ mix / 3 + 0.1 * seed
    return np.maximum(vectors, 0)


@contextmanager
def _cache(folder: str) -> Iterator[None]:
    """Keep features in a folder of their own."""
    before = os.environ.get(CACHE_VARIABLE)
    os.environ[CACHE_VARIABLE] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ[CACHE_VARIABLE]
        else:
            os.environ[CACHE_VARIABLE] = before
