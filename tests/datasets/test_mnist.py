"""MNIST: sizes, accuracies and autoencoders."""

from __future__ import annotations

import pytest
import torch

from cfbench.dataset import SPLITS, Dataset
from cfbench.registry import load_dataset
from cfbench.training import predict


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset("mnist")


def test_sizes_balance_and_disjointness(dataset: Dataset) -> None:
    tables = {split: dataset.table(split) for split in SPLITS}
    assert [len(table) for table in tables.values()] == [1000, 500, 3000, 5000]
    assert all(table["label"].value_counts().nunique() == 1 for table in tables.values())
    official_test = [set(tables[split]["raw_index"]) for split in ("test", "validation", "reference")]
    assert len(set.union(*official_test)) == sum(map(len, official_test)) == 4500


def test_every_classifier_reaches_99_percent_and_its_entry_is_true_on_the_references(dataset: Dataset) -> None:
    references = dataset.split("reference")
    for name in ("classifier", "extractor", "distilled", *dataset.names("oracle")):
        stated = dataset.entry(name).quality["accuracy"]
        assert stated >= 0.99
        measured = float((predict(dataset.network(name), references.images) == references.labels).float().mean())
        assert measured == pytest.approx(stated, abs=0.01)


def test_each_class_autoencoder_beats_the_mean_of_the_others_on_its_own_digit(dataset: Dataset) -> None:
    references = dataset.split("reference")
    errors = torch.empty(10, 10)
    with torch.inference_mode():
        for expert in range(10):
            network = dataset.network(f"autoencoder-{expert}")
            for label in range(10):
                images = references.images[references.labels == label][:100].float() / 255
                errors[expert, label] = (network(images) - images).square().mean()
    own = errors.diagonal()
    assert (own < (errors.sum(dim=0) - own) / 9).all()
