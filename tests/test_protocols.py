"""Protocols: what their runs are made on, what their metrics say of them, and that they resume."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cfbench import boundary
from cfbench.cli.evaluate import Protocol
from cfbench.corruptions import CORRUPTIONS, DEVIATIONS, QUALITIES, SEVERITIES, WIDTHS, corrupt
from cfbench.errors import UnknownName
from cfbench.harness import evaluate
from cfbench.images import dequantise, quantise
from cfbench.method import Method
from cfbench.metrics.reliance import KINDS
from cfbench.protocols import PROTOCOLS
from cfbench.record import TABLE, Record
from cfbench.recording import rescore
from cfbench.registry import METHODS, METRICS
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.testing import Toy

ADAPTERS = Path(__file__).parent / "adapters" / "counting.py"
OF_PROTOCOLS = {name: METRICS.load(name).protocol for name in METRICS.names() if METRICS.load(name).protocol}


def adapter(name: str) -> type[Method]:
    """A class of its own, whose counts start at 0."""
    kind: type[Method] = METHODS.load(f"{ADAPTERS}:{name}")
    return kind


def stored(folder: Path) -> Tensor:
    """Stored 8-bit counterfactuals of a run."""
    return torch.cat([shard.images for shard in RunFolder(folder).shards()])


def rerun(folder: Path, name: str) -> Tensor:
    """Stored 8-bit counterfactuals of the one run of that name among those of a run's protocols."""
    [found] = (folder / "protocols").glob(f"{name}-" + "[0-9a-f]" * 8)
    return stored(found)


def levels(a: Tensor, b: Tensor) -> float:
    """Mean absolute difference of 8-bit images, as a share of 255."""
    return float((a.double() - b.double()).abs().mean()) / 255


def value(record: Record, name: str) -> float:
    [found] = (scores["all"].value for key, scores in record.scores.items() if key.partition("[")[0] == name)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def noise(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path, Task]:
    task, kind = Task(Toy(toy_folder)), METHODS.load("noise")
    protocols = ("corruption", "seeds", "stability", "reversibility")
    record, folder = evaluate(
        kind(epsilon=0.2), task, root=tmp_path_factory.mktemp("noise"), protocols=protocols, limit=50
    )
    return record, folder, task


def test_every_protocol_is_an_option_and_has_a_metric() -> None:
    assert {each.value for each in Protocol} == set(PROTOCOLS) == set(OF_PROTOCOLS.values())
    assert set(KINDS) == set(CORRUPTIONS)


def test_an_unknown_protocol_is_refused_before_anything_is_run(task: Task, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown protocol 'sedes'; choose from composition, reversibility"):
        evaluate(METHODS.load("identity")(), task, root=tmp_path, protocols=["seeds", "sedes"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_protocol_fills_its_metrics_and_no_others(
    protocol: str, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boundary, "STEPS", 5)
    monkeypatch.setattr(boundary, "STUDENTS", 1)
    record, folder = evaluate(METHODS.load("nearest-unlike")(), task, root=tmp_path, protocols=[protocol])
    assert record.protocols == [protocol]
    filled = set()
    for key, scores in record.scores.items():
        asked = OF_PROTOCOLS.get(key.partition("[")[0])
        for score in scores.values():
            if asked == protocol:
                filled.add(key)
                assert score.value is not None, key
            elif asked:
                assert score.value is None
                assert score.reason == f"needs further runs, made by cfbench evaluate --protocol {asked}"
    assert filled
    again, before = rescore(RunFolder(folder), task)
    assert before == record.scores
    assert again.scores == record.scores


def test_doing_nothing_is_perfectly_reliable(task: Task, tmp_path: Path) -> None:
    chosen = ["composition", "reversibility", "stability", "seeds"]
    record, _ = evaluate(METHODS.load("identity")(), task, root=tmp_path, limit=20, protocols=chosen)
    for name, expected in (("composition", 0), ("reversibility", 0), ("stability", 1), ("seed_variance", 0)):
        assert value(record, name) == expected
        assert record.scores[name]["all"].n == 20


def test_a_neighbour_replaces_what_is_right_already(task: Task, tmp_path: Path) -> None:
    record, folder = evaluate(METHODS.load("nearest-unlike")(), task, root=tmp_path, protocols=["composition"])
    made = rerun(folder, "composition")
    assert value(record, "composition") == pytest.approx(levels(made, task.stored), rel=1e-12)
    assert value(record, "composition") > 0.01
    with torch.no_grad():
        assert torch.equal(task.load("classifier")(dequantise(made)).argmax(1), task.sources)


def test_seeds_noise_and_the_way_back_by_direct_computation(noise: tuple[Record, Path, Task]) -> None:
    record, folder, task = noise
    base, queries = stored(folder), task.stored[:50]
    runs = [base, rerun(folder, "seeds-1"), rerun(folder, "seeds-2")]
    expected = np.mean([levels(a, b) for a, b in itertools.combinations(runs, 2)])
    assert value(record, "seed_variance") == pytest.approx(expected, rel=1e-12)
    assert value(record, "seed_variance") > 0.01
    assert value(record, "reversibility") == pytest.approx(levels(rerun(folder, "reversibility"), queries), rel=1e-12)
    assert value(record, "reversibility") > levels(base, queries), "noise on noise leads further away"
    assert 0.5 < value(record, "stability") < 1.5, "the same noise is added to both queries"


def test_corruption_means_by_direct_computation(noise: tuple[Record, Path, Task]) -> None:
    record, folder, task = noise
    names = {f"{kind}-{severity}" for kind in CORRUPTIONS for severity in SEVERITIES}
    base, targets = stored(folder), task.targets[:50]
    judges = [task.load(name) for name in ("classifier", "oracle-1", "oracle-2")]

    @torch.no_grad()
    def hits(images: Tensor) -> tuple[float, float]:
        seen = [float((judge(dequantise(images)).argmax(1) == targets).double().mean()) for judge in judges]
        return seen[0], (seen[1] + seen[2]) / 2

    for place, name in enumerate(("corruption_flip_change", "corruption_agreement_change")):
        details = record.scores[name]["all"].details
        expected = {each: hits(rerun(folder, each))[place] - hits(base)[place] for each in names}
        assert details == pytest.approx(expected, abs=1e-12)
        assert value(record, name) == pytest.approx(np.mean(list(expected.values())), abs=1e-12)
    similarity = record.scores["corruption_similarity"]["all"]
    assert set(similarity.details or {}) == names
    assert value(record, "corruption_similarity") == pytest.approx(np.mean(list((similarity.details or {}).values())))
    assert (pd.read_parquet(folder / TABLE)["corruption_similarity"] < 1).all()


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_corruptions_grow_with_severity_and_belong_to_the_query(kind: str, task: Task) -> None:
    seeds = list(range(60))
    made = [corrupt(task.stored, kind, severity, seeds=seeds) for severity in SEVERITIES]
    changes = [levels(images, task.stored) for images in made]
    assert changes == sorted(set(changes))
    some = [7, 3, 50]
    again = corrupt(task.stored[some], kind, 3, seeds=some)
    assert torch.equal(again, made[2][some])


def colour() -> Tensor:
    stream = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (4, 3, 16, 20), generator=stream, dtype=torch.uint8)


def assert_within_a_level(found: Tensor, expected: NDArray[np.float64]) -> None:
    """Equal but for values that lie half-way between two levels."""
    difference = np.abs(found.double().numpy() - expected)
    assert difference.max() <= 0.5 + 1e-3


@pytest.mark.parametrize("severity", SEVERITIES)
def test_corruptions_against_other_libraries(severity: int) -> None:
    from scipy.ndimage import gaussian_filter
    from torchvision.transforms.functional import adjust_contrast

    images = colour()
    blurred = gaussian_filter(
        images.double().numpy(), sigma=WIDTHS[severity - 1], axes=(2, 3), mode="nearest", radius=4
    )
    assert_within_a_level(corrupt(images, "blur", severity, seeds=[]), blurred)

    factor = {1: 0.75, 2: 0.5, 3: 0.4, 4: 0.3, 5: 0.15}[severity]
    planes = dequantise(images).view(12, 1, 16, 20)
    flat = torch.cat([adjust_contrast(plane[None], factor) for plane in planes]).view(4, 3, 16, 20)
    assert_within_a_level(corrupt(images, "contrast", severity, seeds=[]), flat.double().numpy() * 255)

    for shown in (images, images[:, :1]):
        compressed = corrupt(shown, "jpeg", severity, seeds=[])
        for image, found in zip(shown, compressed, strict=True):
            buffer = io.BytesIO()
            mode = "RGB" if len(image) == 3 else "L"
            whole = image.permute(1, 2, 0).numpy().tobytes()
            Image.frombytes(mode, (20, 16), whole).save(buffer, "JPEG", quality=QUALITIES[severity - 1])
            with Image.open(buffer) as picture:
                assert np.asarray(picture).tobytes() == found.permute(1, 2, 0).numpy().tobytes()

    gray = torch.full((100, 1, 16, 16), 128, dtype=torch.uint8)
    noisy = corrupt(gray, "noise", severity, seeds=range(100))
    assert float(noisy.double().std()) / 255 == pytest.approx(DEVIATIONS[severity - 1], rel=0.02)


def test_stability_is_tested_on_faint_noise(noise: tuple[Record, Path, Task]) -> None:
    _, _, task = noise
    [variant] = PROTOCOLS["stability"](task, task.stored, 0)
    difference = (variant.task.stored.double() - task.stored.double()).abs()
    assert 0 < difference.max() <= 6
    assert torch.equal(PROTOCOLS["stability"](task, task.stored, 1)[0].task.stored, variant.task.stored)
    assert quantise(dequantise(variant.task.stored)).equal(variant.task.stored)


def test_a_protocol_is_resumed_without_doing_anything_twice(task: Task, tmp_path: Path) -> None:
    kind = adapter("Counting")
    chosen = ["seeds", "composition"]
    whole, folder = evaluate(kind(), task, root=tmp_path, limit=20, protocols=chosen)
    assert (kind.prepared, kind.explained) == (1, 20 * 4), "one preparation serves all four runs"

    again, _ = evaluate(kind(), task, root=tmp_path, limit=20, protocols=chosen)
    assert (kind.prepared, kind.explained) == (1, 20 * 4), "nothing is missing, nothing is prepared"
    assert again == whole.model_copy(update={"provenance": again.provenance})

    victims = [sorted((folder / "protocols").glob(f"{name}-*/*/*.npz"))[0] for name in ("seeds-2", "composition")]
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz") if path not in victims}
    for victim in victims:
        victim.unlink()
    resumed, _ = evaluate(kind(), task, root=tmp_path, limit=20, protocols=chosen)
    assert (kind.prepared, kind.explained) == (2, 20 * 4 + 2 * 10)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert resumed.scores == whole.scores


def test_the_way_back_starts_from_the_run_that_is_scored(task: Task, tmp_path: Path) -> None:
    kind = adapter("Counting")
    chosen = ["reversibility", "seeds"]
    _, folder = evaluate(kind(), task, root=tmp_path / "a", limit=10, protocols=chosen)
    grown, _ = evaluate(kind(), task, root=tmp_path / "a", limit=20, protocols=chosen)
    assert len(list((folder / "protocols").glob("reversibility-*"))) == 2
    assert len(list((folder / "protocols").glob("seeds-*"))) == 2
    assert kind.explained == 4 * 10 + 4 * 10 + 10, "only the way back is begun anew"
    fresh, _ = evaluate(kind(), task, root=tmp_path / "b", limit=20, protocols=chosen)
    timeless = [{name: s for name, s in record.scores.items() if name != "seconds"} for record in (grown, fresh)]
    assert timeless[0] == timeless[1]


def test_failures_on_altered_queries_stay_in_the_denominator(task: Task, tmp_path: Path) -> None:
    record, folder = evaluate(adapter("Refusing")(), task, root=tmp_path, protocols=["composition"])
    assert record.queries.failed == 0
    failed = task.images(slice(None))[:, 0, 0, 0] < 0.1
    assert 0 < failed.sum() < len(task)
    made = rerun(folder, "composition")
    assert torch.equal(made[failed], task.stored[failed])
    halved = quantise(task.images(slice(None)) * 0.5)
    assert torch.equal(made[~failed], halved[~failed])
    score = record.scores["composition"]["all"]
    assert score.n == len(task)
    expected = levels(halved[~failed], task.stored[~failed]) * int((~failed).sum()) / len(task)
    assert score.value == pytest.approx(expected, rel=1e-12)
