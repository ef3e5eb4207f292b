"""The published scores of arXiv 2111.00177, from the authors' own counterfactuals and autoencoders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cfbench.image_sets import open_images
from cfbench.images import dequantise
from cfbench.imports import Imported, judges_of_import, score_import
from cfbench.judges import Member
from cfbench.record import Score
from cfbench.registry import import_file, load_dataset
from cfbench.task import Task
from cfbench.user_networks import user_networks

HELPERS = Path(__file__).with_name("hvilshoj.py")
published = import_file(HELPERS)
FOLDER: Path | None = published.published_folder()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        FOLDER is None, reason="CFBENCH_DATA names no folder with the files of arXiv 2111.00177 (GB_mnist.npz, ...)"
    ),
]


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("hvilshoj")
    published.convert(FOLDER, out)
    return out


def reported(score: str, method: str) -> tuple[float, int]:
    """A published value and the number of counterfactuals behind it."""
    assert FOLDER is not None
    [row] = [row for row in json.loads((FOLDER / "results.json").read_text())[score] if row["method"] == method]
    value, _, n = row["scores"]
    return value, n


def score(folder: Path, name: str, members: list[Member]) -> dict[str, Score]:
    imported = Imported.paired(open_images(folder / f"{name}.npz"), open_images(folder / f"{name}-queries.npz"))
    judges = judges_of_import(imported, members, None)
    record, _ = score_import(imported, judges, name=name, out=folder / "runs", task="imported")
    return {key: subsets["all"] for key, subsets in record.scores.items() if "all" in subsets}


@pytest.mark.parametrize("method", published.METHODS)
def test_target_class_validity(method: str, converted: Path) -> None:
    value, n = reported("TargetClassValidity", method)
    found = score(converted, f"{method}-all", [])["untargeted_flip_rate"]
    assert found.n == n
    assert found.value == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("method", published.METHODS)
def test_elastic_net_and_reconstruction_scores(method: str, converted: Path) -> None:
    pytest.importorskip("h5py", reason="the authors' autoencoders are Keras files, which h5py reads")
    found = score(converted, method, user_networks("autoencoder", f"{HELPERS}:autoencoders"))
    for key, name, tolerance in (("elastic_net", "ElasticNet", 1e-10), ("im1", "IM1", 1e-6), ("im2", "IM2", 1e-6)):
        value, n = reported(name, method)
        assert found[key].n == n, key
        assert found[key].value == pytest.approx(value, rel=tolerance), key


def seen_by_oracles(folder: Path, name: str) -> list[float]:
    """Share of the counterfactuals that each oracle of the packaged task puts in the class asked for."""
    imported = Imported.paired(open_images(folder / f"{name}.npz"), open_images(folder / f"{name}-queries.npz"))
    judges = judges_of_import(imported, [], Task(load_dataset("mnist")))
    with torch.inference_mode():
        batches = [dequantise(part) for part in imported.images.batches(250)]
        said = {
            oracle: torch.cat([judges.network(oracle)(part).argmax(dim=1) for part in batches])
            for oracle in judges.oracles
        }
    return [float((each == imported.targets).double().mean()) for each in said.values()]


def test_three_oracles_see_through_the_adversarial_method_and_follow_the_generative_one(converted: Path) -> None:
    adversarial, generative = (seen_by_oracles(converted, name) for name in ("GB", "GEN"))
    assert len(adversarial) == len(generative) == 3
    assert max(adversarial) < 0.2, "its published validity is .9959"
    assert min(generative) > 0.8
