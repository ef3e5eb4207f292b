"""MNIST: sizes, accuracies and autoencoders."""

from __future__ import annotations

import pytest
import torch

from cfbench.dataset import SPLITS, Dataset
from cfbench.datasets.mnist.style import RANGES, style
from cfbench.images import quantise
from cfbench.registry import load_dataset
from cfbench.training import answers, predict


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


def test_class_and_style_are_read_in_references_as_well_as_stated(dataset: Dataset) -> None:
    references = dataset.split("reference")
    read = answers(dataset.network("attributes"), references.images).sigmoid()
    stated = dataset.entry("attributes").quality
    assert float((read[:, :10].argmax(1) == references.labels).float().mean()) > 0.98
    assert float((read[:, 10:] - style(references.images)).abs().mean()) == pytest.approx(stated["mae"], abs=0.005)
    assert stated["correlation"] > 0.97


@pytest.mark.parametrize("factor", list(RANGES))
def test_the_gan_writes_digits_in_the_style_that_was_asked_for(dataset: Dataset, factor: str) -> None:
    """From a fifth to four fifths of the range, others as in references, the exact factor moves most of that way."""
    references = dataset.split("reference")
    asked = answers(dataset.network("attributes"), references.images[:200]).sigmoid()
    column = dataset.attributes.index(factor)
    measured = []
    for degree in (0.2, 0.5, 0.8):
        conditions = asked.clone()
        conditions[:, column] = degree
        with torch.inference_mode():
            made = dataset.network("gan").sample(conditions, generator=torch.Generator().manual_seed(0))
        measured.append(style(quantise(made))[:, column - 10])
    low, middle, high = (float(degrees.mean()) for degrees in measured)
    assert low + 0.1 < middle < high - 0.1
    assert high - low == pytest.approx(0.6, abs=0.2)
