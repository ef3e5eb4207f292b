"""FID, LPIPS and per-query metrics: cfbench in one pass, or one tool after the other, on the same random weights."""

from __future__ import annotations

import dataclasses
import inspect
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest import mock

import scipy
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from pytorch_fid import fid_score
from random_inception import random_inception
from torch import Tensor, nn
from torchmetrics.functional.image.lpips import _NoTrainLpips
from torchmetrics.image import lpip

from cfbench import scoring, weights
from cfbench.files import CACHE_VARIABLE, sha256_file
from cfbench.images import dequantise
from cfbench.judges import Judges
from cfbench.metrics import official
from cfbench.metrics.base import Metric
from cfbench.metrics.official import FID
from cfbench.pieces import Piece

FIRST = "cfbench, one pass, first run of a task"
AGAIN = "cfbench, one pass, later runs"

PER_QUERY = ("validity", "proximity", "sparsity")
SIDE = official.LPIPS.SIDE


@contextmanager
def stand_ins() -> Iterator[dict[str, nn.Module]]:
    """Random Inception and AlexNet in place of the official ones; FID is given from 100 images on."""
    torch.manual_seed(0)
    networks = {"inception": random_inception(), "alexnet": torchvision.models.alexnet(weights=None).eval()}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for name, official_name in (("inception", "INCEPTION"), ("alexnet", "ALEXNET")):
            published = getattr(weights, official_name)
            path = Path(folder) / published.file
            torch.save(networks[name].state_dict(), path)
            stand_in = dataclasses.replace(published, sha256=sha256_file(path), folder=folder)
            stack.enter_context(mock.patch.object(weights, official_name, stand_in))
        stack.enter_context(mock.patch.object(official, "inception", return_value=networks["inception"]))
        stack.enter_context(mock.patch.object(FID, "minimum", 100))
        yield networks


def cfbench_passes(piece: Piece, judges: Callable[[], Judges]) -> dict[str, float]:
    """Seconds of one pass with every metric compared, with queries seen for the first time and again."""
    found = {}
    with tempfile.TemporaryDirectory() as cache, mock.patch.dict(os.environ, {CACHE_VARIABLE: cache}):
        for name in (FIRST, AGAIN):
            judged = judges()
            chosen = _chosen(judged)
            [fid] = [metric for metric in chosen if isinstance(metric, FID)]
            if name == FIRST:
                judged.reference_features(fid.space)
            found[name] = _seconds(partial(_score, piece, judged, chosen))
    return found


def one_after_the_other(piece: Piece, judges: Callable[[], Judges], networks: dict[str, nn.Module]) -> dict[str, float]:
    """Seconds of each tool."""
    rgb = [part.expand(-1, 3, -1, -1) for part in (piece.stored, piece.stored_queries)]
    with tempfile.TemporaryDirectory() as root:
        folders = [Path(root) / name for name in ("made", "queries")]
        for folder, images in zip(folders, rgb, strict=True):
            folder.mkdir()
            for index, image in enumerate(images):
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index:05}.png")
        found = {"pytorch-fid": _seconds(lambda: _pytorch_fid(folders, networks["inception"]))}
    perceptual = _torchmetrics(networks["alexnet"])
    found["torchmetrics LPIPS"] = _seconds(lambda: _lpips(perceptual, rgb))
    found["metrics one by one"] = _seconds(lambda: _one_by_one(piece, judges))
    return found


def _chosen(judged: Judges) -> list[Metric]:
    metrics = [metric for metric in scoring.metrics_for(judged) if metric.blocked() is None]
    return [metric for metric in metrics if metric.family in PER_QUERY or isinstance(metric, FID)]


def _score(piece: Piece, judged: Judges, metrics: list[Metric]) -> None:
    with mock.patch.object(scoring, "metrics_for", return_value=metrics):
        scoring.score([piece], judged)


def _one_by_one(piece: Piece, judges: Callable[[], Judges]) -> None:
    for index, metric in enumerate(_chosen(judges())):
        if metric.key not in ("fid", "lpips"):
            judged = judges()
            _score(piece, judged, [_chosen(judged)[index]])


def _pytorch_fid(folders: list[Path], inception: nn.Module) -> None:
    """Its command's own function; 0.3 passes ``disp`` to scipy's matrix root, which scipy 1.18 no longer takes."""
    root = scipy.linalg.sqrtm
    if "disp" not in inspect.signature(root).parameters:
        fid_score.linalg.sqrtm = lambda matrix, disp=True: root(matrix) if disp else (root(matrix), None)
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            mock.patch.object(fid_score, "InceptionV3", return_value=inception),
        ):
            fid_score.calculate_fid_given_paths(list(map(str, folders)), 50, "cpu", 2048, 1)
    finally:
        scipy.linalg.sqrtm = root


def _torchmetrics(alexnet: nn.Module) -> nn.Module:
    def random(net: str) -> nn.Module:
        return _NoTrainLpips(net=net, pnet_rand=True)

    with mock.patch.object(lpip, "_NoTrainLpips", random):
        metric: nn.Module = lpip.LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
    for part in metric.net.net.children():
        for index, layer in part.named_children():
            layer.load_state_dict(alexnet.features[int(index)].state_dict())
    return metric.eval()


@torch.inference_mode()
def _lpips(metric: nn.Module, rgb: list[Tensor]) -> None:
    for pair in zip(*(part.split(50) for part in rgb), strict=True):
        metric.update(
            *(F.interpolate(dequantise(part), size=(SIDE, SIDE), mode="bilinear").clamp(0, 1) for part in pair)
        )
    metric.compute()


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
