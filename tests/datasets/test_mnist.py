"""MNIST: sizes, accuracies, autoencoders and generators; its fours and nines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from cfbench.dataset import SPLITS, Dataset
from cfbench.datasets.mnist.style import RANGES, style
from cfbench.errors import MissingResource
from cfbench.files import DATA_VARIABLE
from cfbench.images import quantise
from cfbench.registry import load_dataset
from cfbench.session import Session
from cfbench.training import answers, predict


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset("mnist")


@pytest.fixture(scope="module")
def pair() -> Dataset:
    return load_dataset("mnist-4-9")


PARTS = {"test": "test", "validation": "test", "reference": "test", "pool": "train"}
"""Official part that each split is of."""


def test_sizes_balance_and_disjointness(dataset: Dataset) -> None:
    tables = {split: dataset.table(split) for split in SPLITS}
    assert [len(table) for table in tables.values()] == [1000, 500, 3000, 5000]
    assert all(table["label"].value_counts().nunique() == 1 for table in tables.values())
    official_test = [set(tables[split]["raw_index"]) for split in ("test", "validation", "reference")]
    assert len(set.union(*official_test)) == sum(map(len, official_test)) == 4500


@pytest.mark.parametrize("task", ["mnist", "mnist-4-9"])
def test_every_classifier_reaches_99_percent_and_its_entry_is_true_on_the_references(task: str) -> None:
    dataset = load_dataset(task)
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


def test_the_pair_is_of_fours_and_nines_alone_and_label_0_is_a_four(dataset: Dataset, pair: Dataset) -> None:
    """Where an image is in splits of both tasks, it is the same; where not, the ten-class classifier reads it."""
    shared = 0
    for split, part in PARTS.items():
        table, data = pair.table(split), pair.split(split)
        assert len(table) == {"test": 500, "validation": 200, "reference": 800, "pool": 1000}[split]
        assert table["label"].value_counts().to_dict() == {0: len(table) / 2, 1: len(table) / 2}
        digits = torch.tensor([int(name) for name in pair.classes])[data.labels]
        read = predict(dataset.network("classifier"), data.images)
        assert float((read == digits).float().mean()) > 0.99
        row = {number: index for index, number in enumerate(table["raw_index"])}
        for other in (each for each in SPLITS if PARTS[each] == part):
            both = [(row[n], index) for index, n in enumerate(dataset.table(other)["raw_index"]) if n in row]
            here, there = torch.tensor(both).reshape(-1, 2).T
            assert torch.equal(dataset.split(other).labels[there], digits[here])
            assert torch.equal(dataset.split(other).images[there], data.images[here])
            shared += len(both)
    assert shared > 500


def test_raw_indices_of_the_pair_are_those_of_all_published_digits(dataset: Dataset, pair: Dataset) -> None:
    if DATA_VARIABLE not in os.environ:
        pytest.skip(f"{DATA_VARIABLE} does not say where the published images are")
    try:
        raw = dataset.raw(Path(os.environ[DATA_VARIABLE]))
    except MissingResource as error:
        pytest.skip(str(error))
    for split, part in PARTS.items():
        numbers = torch.tensor(pair.table(split)["raw_index"].to_numpy(copy=True))
        published, here = getattr(raw, part), pair.split(split)
        assert torch.equal(published.labels[numbers], torch.tensor([4, 9])[here.labels])
        assert torch.equal(published.images[numbers], here.images)


def test_the_pair_has_the_files_of_all_digits_where_networks_are_of_all_digits(dataset: Dataset, pair: Dataset) -> None:
    for name in ("attributes", "vae", "gan", "diffusion"):
        assert pair.entry(name).sha256 == dataset.entry(name).sha256
        assert (pair.folder / pair.entry(name).file).samefile(dataset.folder / dataset.entry(name).file)
    own = {entry.sha256 for entry in pair.manifest.networks.values()}
    assert len(own & {entry.sha256 for entry in dataset.manifest.networks.values()}) == 4


def test_building_a_network_of_all_digits_for_the_pair_takes_it_from_mnist(dataset: Dataset, pair: Dataset) -> None:
    spec = pair.networks["attributes"]
    network = spec.build()
    spec.recipe.fit(network, pair.split("pool"), seed=spec.seed, networks=pair.network, session=Session())
    taken, wanted = network.state_dict(), dataset.network("attributes").state_dict()
    assert taken.keys() == wanted.keys()
    assert all(torch.equal(taken[key], wanted[key]) for key in wanted)


def test_the_diffusion_model_of_the_pair_is_told_fours_and_nines(dataset: Dataset, pair: Dataset) -> None:
    narrow, wide = pair.network("diffusion"), dataset.network("diffusion")
    noised = torch.randn(2, *wide.shape, generator=torch.Generator().manual_seed(1))
    steps = torch.tensor([300, 700])
    with torch.inference_mode():
        assert torch.equal(narrow(noised, steps, torch.tensor([1, 0])), wide(noised, steps, torch.tensor([9, 4])))
        assert torch.equal(narrow(noised, steps, torch.zeros(2, 2)), wide(noised, steps, torch.zeros(2, 10)))
        guided = (
            net(noised, steps, torch.tensor(told), guidance=3.0) for net, told in ((narrow, [0, 1]), (wide, [4, 9]))
        )
        torch.testing.assert_close(*guided)
