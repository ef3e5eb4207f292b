"""Every packaged data set is what its manifest says; what one of them adds is tested in a file of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from cfbench.dataset import QUERY_SPLITS, Dataset, Images
from cfbench.errors import MissingResource
from cfbench.files import DATA_VARIABLE
from cfbench.folders import FolderDataset
from cfbench.images import dequantise
from cfbench.registry import DATASETS, load_dataset
from cfbench.robust import attacked
from cfbench.task import Task
from cfbench.training import predict


def packaged() -> list[object]:
    """Every data set with a manifest; those that decode the user's pictures take long."""
    found = []
    for name in DATASETS.builtin:
        dataset = load_dataset(name)
        if (dataset.folder / "manifest.json").is_file():
            marks = [pytest.mark.slow] if isinstance(dataset, FolderDataset) else []
            found.append(pytest.param(name, marks=marks))
    return found


@pytest.fixture(params=packaged(), scope="module")
def dataset(request: pytest.FixtureRequest) -> Dataset:
    dataset = load_dataset(request.param)
    try:
        dataset.install(Path(os.environ[DATA_VARIABLE]) if DATA_VARIABLE in os.environ else None)
    except MissingResource as error:
        pytest.skip(str(error))
    return dataset


def test_every_file_is_verified_and_all_weigh_at_most_20_mb(dataset: Dataset) -> None:
    files = [*dataset.manifest.splits.values(), *dataset.manifest.networks.values()]
    assert all(len(dataset.verify(file)) == file.bytes for file in files)
    shipped = [path for path in dataset.folder.rglob("*") if path.suffix != ".pyc" and path.is_file()]
    assert sum(path.stat().st_size for path in shipped) <= 20_000_000
    assert set(dataset.manifest.networks) == set(dataset.networks)


@pytest.mark.parametrize("split", QUERY_SPLITS)
def test_the_classifier_is_right_on_every_query_and_near_is_its_second_class(dataset: Dataset, split: str) -> None:
    task = Task(dataset, split=split)
    with torch.inference_mode():
        ranked = task.load("classifier")(task.images(slice(None))).argsort(1, descending=True)
    assert torch.equal(ranked[:, 0], task.sources)
    assert torch.equal(ranked[:, 1], task.targets)
    assert (task.queries["label"] == task.queries["source"]).all()
    other = Task(dataset, targets="any", split=split)
    assert not (other.targets == other.sources).any()
    assert set(other.targets.tolist()) == set(range(len(dataset.classes)))


def test_images_have_the_stated_shape_and_tables_unique_ids(dataset: Dataset) -> None:
    for split, size in dataset.split_sizes.items():
        data = dataset.split(split)
        assert data.images.shape[1:] == dataset.image_shape
        assert len(data) == size or (len(data) < size and not dataset.balanced)
        assert data.images.dtype == torch.uint8
        assert dataset.table(split)["image_id"].is_unique


def test_there_are_independent_judges_of_different_architectures(dataset: Dataset) -> None:
    names = [*dataset.names("classifier"), *dataset.names("oracle"), *dataset.names("extractor")]
    entries = [dataset.entry(name) for name in names]
    assert [entry.role for entry in entries].count("oracle") >= 3
    assert len({entry.architecture.split()[0] for entry in entries}) == len(entries)
    assert len({entry.seed for entry in entries}) == len(entries)
    assert len(dataset.names("autoencoder")) == len(dataset.classes) + 1


def test_the_distilled_copy_answers_like_the_classifier(dataset: Dataset) -> None:
    if not dataset.names("distilled"):
        pytest.skip(f"{dataset.key} has no distilled copy")
    [name] = dataset.names("distilled")
    references = dataset.split("reference").images
    agree = predict(dataset.network(name), references) == predict(dataset.network("classifier"), references)
    assert float(agree.float().mean()) == pytest.approx(dataset.entry(name).quality["agreement"], abs=margin(dataset))


def margin(dataset: Dataset) -> float:
    """How far a share may be from the stated one: references of an official part of its own are other pictures."""
    return 0.03 if dataset.balanced else 0.1


def some(dataset: Dataset, role: str) -> tuple[str, Images]:
    """The network of a role, and reference images to try it on.

    The last ones: the first are richer in those that the classifier gets wrong, which could be no queries.
    """
    [name] = dataset.names(role)
    references = dataset.split("reference")
    return name, Images(references.images[-1000:], references.labels[-1000:])


def test_loss_estimators_rank_losses_as_well_as_stated(dataset: Dataset) -> None:
    for role, classifier in (("loss-estimator", "classifier"), ("joint-classifier", "joint")):
        name, references = some(dataset, role)
        quality = dataset.networks[name].recipe.quality(dataset.network(name), references, networks=dataset.network)
        stated = dataset.entry(name).quality
        assert quality["spearman"] == pytest.approx(stated["spearman"], abs=0.1 if dataset.balanced else 0.2)
        estimator = dataset.network(name) if role == "loss-estimator" else dataset.network(name).estimator
        with torch.inference_mode():
            maps, logits = dataset.network(classifier).outputs(dequantise(references.images))
            below = estimator(maps)[logits.argmax(1) == references.labels] <= estimator.threshold
        alike = dataset.balanced and "confounded" not in dataset.name
        allowed = 0.1 if alike else 0.25
        assert float(below.float().mean()) == pytest.approx(0.5, abs=allowed), "the median is over training images"


def test_the_joint_classifier_is_as_accurate_as_stated(dataset: Dataset) -> None:
    name, references = some(dataset, "joint-classifier")
    accuracy = float((predict(dataset.network(name), references.images) == references.labels).float().mean())
    assert accuracy == pytest.approx(dataset.entry(name).quality["accuracy"], abs=margin(dataset))


def test_the_duq_head_is_as_accurate_as_stated(dataset: Dataset) -> None:
    name, references = some(dataset, "duq")
    head, classifier = dataset.network(name), dataset.network("classifier")
    with torch.inference_mode():
        kernels = head(classifier.blocks(dequantise(references.images)))
    accuracy = float((kernels.argmax(1) == references.labels).float().mean())
    assert accuracy == pytest.approx(dataset.entry(name).quality["accuracy"], abs=margin(dataset))
    assert 0 <= float(kernels.min()) <= float(kernels.max()) <= 1


def test_the_robust_classifier_withstands_what_the_usual_one_does_not(dataset: Dataset) -> None:
    name, references = some(dataset, "robust")
    every = max(len(references) // 200, 1)
    images, labels = dequantise(references.images[::every]), references.labels[::every]
    accuracies = {}
    for each in (name, "classifier"):
        network = dataset.network(each)
        stream = torch.Generator().manual_seed(1)
        epsilon = dataset.entry(name).quality["epsilon"]
        moved = attacked(network, images, labels, epsilon=epsilon, steps=10, generator=stream)
        accuracies[each] = float((network(moved).argmax(1) == labels).float().mean())
    assert accuracies[name] > accuracies["classifier"] + 0.1
    assert accuracies[name] == pytest.approx(dataset.entry(name).quality["accuracy_attacked"], abs=0.12)


def test_splits_share_no_image_and_hold_the_published_ones(dataset: Dataset) -> None:
    if DATA_VARIABLE not in os.environ and dataset.truth is None:
        pytest.skip(f"{DATA_VARIABLE} does not say where the published images are")
    try:
        raw = dataset.raw(Path(os.environ.get(DATA_VARIABLE, ".")))
    except MissingResource as error:
        pytest.skip(str(error))
    origins = {
        "test": raw.test,
        "validation": raw.validation or raw.test,
        "reference": raw.reference or raw.test,
        "pool": raw.train,
    }
    seen: set[tuple[int, int]] = set()
    for split, origin in origins.items():
        numbers = torch.tensor(dataset.table(split)["raw_index"].to_numpy(copy=True))
        owner = torch.arange(len(origin)) if origin.numbers is None else origin.numbers
        rows = torch.searchsorted(owner.sort().values, numbers)
        rows = owner.argsort()[rows]
        data = dataset.split(split)
        assert torch.equal(data.images, origin.images[rows])
        assert torch.equal(data.labels, origin.labels[rows])
        taken = {(id(origin), int(number)) for number in numbers}
        assert len(taken) == len(numbers)
        assert not taken & seen
        seen |= taken
