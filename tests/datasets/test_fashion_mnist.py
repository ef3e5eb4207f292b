"""The packaged task is what its card says."""

from __future__ import annotations

import pytest
import torch

from cfbench.dataset import SPLITS
from cfbench.errors import InvalidParameter
from cfbench.registry import load_dataset
from cfbench.task import Task, check_targets


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("fashion-mnist")


def test_sizes_balance_and_disjointness(dataset) -> None:
    tables = {split: dataset.table(split) for split in SPLITS}
    assert {split: len(table) for split, table in tables.items()} == {
        "test": 1000,
        "validation": 500,
        "reference": 5000,
        "pool": 10000,
    }
    for table in tables.values():
        assert table["label"].value_counts().nunique() == 1
        assert table["image_id"].is_unique
    official_test = [set(tables[split]["raw_index"]) for split in ("test", "validation", "reference")]
    assert len(set.union(*official_test)) == sum(map(len, official_test)) == 6500


def test_networks_reach_91_percent_and_their_manifest_is_true_on_the_references(dataset) -> None:
    references = dataset.split("reference")
    architectures = set()
    for role in ("classifier", "oracle", "extractor"):
        for name in dataset.names(role):
            stated = dataset.entry(name).quality["accuracy"]
            assert stated >= 0.91 or role == "extractor"
            architectures.add(dataset.entry(name).architecture.split()[0])
            network = dataset.network(name)
            with torch.inference_mode():
                predicted = torch.cat([network(part.float() / 255).argmax(1) for part in references.images.split(500)])
            measured = float((predicted == references.labels).float().mean())
            assert measured == pytest.approx(stated, abs=0.025), "references leave out 1,500 images it gets right"
    assert len(architectures) == 5
    assert len(dataset.names("oracle")) == 3
    assert len(dataset.names("autoencoder")) == 11


def test_the_extractor_has_64_features(dataset) -> None:
    assert dataset.network("extractor").embed(torch.rand(2, 1, 28, 28)).shape == (2, 64)


def test_no_class_autoencoder_is_far_behind_another_on_its_own_class(dataset) -> None:
    references = dataset.split("reference")
    errors = torch.empty(10, 10)
    with torch.inference_mode():
        for expert in range(10):
            network = dataset.network(f"autoencoder-{expert}")
            for label in range(10):
                images = references.images[references.labels == label][:100].float() / 255
                errors[expert, label] = (network(images) - images).square().mean()
    own = errors.diagonal()
    assert (own <= 1.1 * errors.min(dim=0).values).all(), "t-shirts and shirts tie; no expert may lose clearly"
    assert (own < (errors.sum(dim=0) - own) / 9).all()


def test_bad_rules_splits_and_targets(dataset) -> None:
    with pytest.raises(InvalidParameter, match="unknown target rule 'far'; choose near or any"):
        Task(dataset, targets="far")
    with pytest.raises(InvalidParameter, match="unknown query split 'train'; choose test or validation"):
        Task(dataset, split="train")
    sources = torch.tensor([0, 1])
    with pytest.raises(InvalidParameter, match="target 10 is not a class; expected 0 to 9"):
        check_targets(sources, torch.tensor([1, 10]), classes=10)
    with pytest.raises(InvalidParameter, match="target 1 equals the source class of query 1"):
        check_targets(sources, torch.tensor([1, 1]), classes=10)
