"""Running methods: contract, failures, resume, limits, cost."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cfbench.errors import CfbenchError, ContractViolation, InvalidParameter, MethodFailed, RunMismatch
from cfbench.harness import evaluate
from cfbench.keys import run_key, source_hash
from cfbench.method import Method
from cfbench.record import TABLE, Record
from cfbench.registry import METHODS
from cfbench.store import RunFolder, cut
from cfbench.task import Task

ADAPTERS = Path(__file__).parent / "adapters"


def bad(name: str) -> Method:
    return METHODS.load(f"{ADAPTERS / 'bad.py'}:{name}").create({})


def dark(images: torch.Tensor) -> torch.Tensor:
    """Which queries the picky adapters of bad.py fail on."""
    return images[:, 0, 0, 0] < 0.1


def slow(**parameters: object) -> Method:
    return METHODS.load(f"{ADAPTERS / 'slow.py'}:Slow").create(parameters)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "WrongShape",
            r"returned torch.float32 \[4, 1, 5, 12\] on cpu; expected torch.float32 \[4, 1, 12, 12\] on cpu",
        ),
        ("WrongType", "returned torch.float64 .* expected torch.float32"),
        ("NotATensor", "returned ndarray; expected torch.float32"),
        ("OtherDevice", "on meta; expected .* on cpu"),
        ("ChangesInput", "changed its input in place: work on a clone"),
        ("ChangesWeights", "changed the classifier's weights: work on a copy"),
        ("ChangesMode", "changed the classifier's train mode: leave it in evaluation mode"),
        ("ChangesModeInPrepare", "changed the classifier's train mode"),
        ("TorchRandom", "changed the global random state: draw from self.random"),
        ("NumpyRandom", "changed the global random state"),
        ("PythonRandom", "changed the global random state"),
        ("LogsTooMuch", r"logged steps of shape \[5\]; expected \[4\]"),
    ],
)
def test_a_broken_contract_ends_the_run_and_stores_nothing(name: str, message: str, task: Task, tmp_path: Path) -> None:
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    with pytest.raises(ContractViolation, match=message):
        evaluate(bad(name), task, root=tmp_path)
    assert not list(tmp_path.rglob("*.npz"))
    assert not list(tmp_path.rglob("run.json"))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("AlwaysRaises", "failed on each of its first 20 queries: ValueError: no idea; nothing was stored"),
        ("NeverFinite", "the result is not finite"),
        ("NeverInRange", r"the result spans \[.*\]; expected \[0, 1\]: clamp it"),
    ],
)
def test_a_method_that_fails_from_the_start_is_stopped(name: str, message: str, task: Task, tmp_path: Path) -> None:
    with pytest.raises(MethodFailed, match=message):
        evaluate(bad(name), task, root=tmp_path)
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("SometimesRaises", "ValueError: too dark"), ("SometimesNaN", "not finite"), ("SometimesOutside", "1.5")],
)
def test_failed_queries_keep_their_image_and_stay_in_every_denominator(
    name: str, message: str, task: Task, tmp_path: Path
) -> None:
    record, folder = evaluate(bad(name), task, root=tmp_path)
    expected = dark(task.images(slice(None))).numpy()
    assert 0 < expected.sum() < len(task)

    table = pd.read_parquet(folder / TABLE)
    assert ((table["error"] != "") == expected).all()
    assert table.loc[expected, "error"].str.contains(message).all()
    assert (table.loc[expected, "l1"] == 0).all()
    assert not table.loc[expected, "flipped"].any()
    assert table.loc[~expected, "method_brightness"].notna().all()
    assert record.status == "complete"
    assert record.queries.failed == expected.sum()
    assert record.scores["flip_rate"]["all"].n == record.scores["l1"]["all"].n == len(task)
    for shard in RunFolder(folder).shards():
        for position, image, error in zip(shard.positions, shard.images, shard.errors, strict=True):
            if error:
                assert torch.equal(image, task.stored[position])


def test_failures_are_retried_only_when_asked(task: Task, tmp_path: Path) -> None:
    first, folder = evaluate(bad("SometimesRaises"), task, root=tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.npz")}
    evaluate(bad("SometimesRaises"), task, root=tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.npz")} == before
    again, _ = evaluate(bad("SometimesRaises"), task, root=tmp_path, retry_failed=True)
    after = {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.npz")}
    assert len(after) == len(before), "a retried shard must replace the old one"
    untouched = {name for name, when in before.items() if after.get(name) == when}
    assert 0 < len(untouched) < len(before), "only shards with failures are retried"
    assert again.scores == first.scores


def test_failures_at_the_start_do_not_stop_a_method_that_works_later(task: Task, tmp_path: Path) -> None:
    first = int(dark(task.images(slice(None))).nonzero()[0])
    record, _ = evaluate(bad("SometimesNaN"), task, root=tmp_path, batch_size=1)
    assert record.queries.failed == int(dark(task.images(slice(None))).sum())
    assert first < 20


def test_a_smaller_limit_does_not_shrink_a_stored_run(task: Task, tmp_path: Path) -> None:
    full, folder = evaluate(slow(seconds=0), task, root=tmp_path)
    again, _ = evaluate(slow(seconds=0), task, root=tmp_path, limit=3)
    assert again == full
    assert Record.read(folder) == full


def test_two_clients_on_one_run_do_not_count_a_query_twice(task: Task, tmp_path: Path) -> None:
    whole, folder = evaluate(slow(seconds=0), task, root=tmp_path / "a")
    _, other = evaluate(slow(seconds=0), task, root=tmp_path / "b", batch_size=7)
    for shard in other.rglob("*.npz"):
        (folder / "counterfactuals" / shard.name).write_bytes(shard.read_bytes())
    again, _ = evaluate(slow(seconds=0), task, root=tmp_path / "a")
    assert again.scores == whole.scores
    assert again.provenance.images == whole.provenance.images
    assert again.queries == whole.queries


def test_the_key_covers_the_modules_that_an_adapter_builds_on(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    from cfbench import keys

    method = METHODS.load("dip")()
    before = run_key(method, task, seed=0)
    real = keys.sha256_file
    monkeypatch.setattr(keys, "sha256_file", lambda path: "0" * 64 if path.stem == "skipnet" else real(path))
    assert run_key(method, task, seed=0).digest != before.digest
    assert run_key(METHODS.load("pgd")(), task, seed=0).adapter == source_hash(METHODS.load("pgd"))


def test_an_adapter_cannot_override_what_belongs_to_the_base() -> None:
    with pytest.raises(ContractViolation, match="overrides __call__"):
        type("Sly", (Method,), {"__call__": lambda self: None})


def test_a_limited_run_is_partial_and_grows_into_the_full_one(task: Task, tmp_path: Path) -> None:
    limited, folder = evaluate(slow(seconds=0), task, root=tmp_path / "a", limit=10)
    assert (limited.status, limited.queries.done, limited.queries.expected) == ("partial", 10, 60)
    stored = set(folder.rglob("*.npz"))
    full, again = evaluate(slow(seconds=0), task, root=tmp_path / "a")
    assert folder == again
    assert stored < set(folder.rglob("*.npz"))
    whole, _ = evaluate(slow(seconds=0), task, root=tmp_path / "b")
    assert (full.status, full.scores) == ("complete", whole.scores)
    assert full.provenance.images == whole.provenance.images


def test_batch_size_changes_neither_images_nor_scores(task: Task, tmp_path: Path) -> None:
    records = [evaluate(slow(seconds=0), task, root=tmp_path / str(size), batch_size=size)[0] for size in (1, 7, 60)]
    assert len({record.provenance.images for record in records}) == 1
    assert records[0].scores == records[1].scores == records[2].scores


def test_what_the_time_limit_cuts_off_counts_as_failed_until_resumed(task: Task, tmp_path: Path) -> None:
    cut, folder = evaluate(slow(seconds=0.2), task, root=tmp_path, time_limit=0.3)
    assert cut.status == "partial"
    assert 0 < cut.queries.done < 60
    assert cut.queries.failed == 60 - cut.queries.done
    assert cut.scores["flip_rate"]["all"].n == 60
    table = pd.read_parquet(folder / TABLE)
    assert (table["error"].iloc[cut.queries.done :] == "not reached within the time limit").all()
    assert (table["l1"].iloc[cut.queries.done :] == 0).all()
    done, _ = evaluate(slow(seconds=0.2), task, root=tmp_path)
    assert (done.status, done.queries.failed) == ("complete", 0)


def test_a_damaged_shard_is_found_and_redone(task: Task, tmp_path: Path) -> None:
    record, folder = evaluate(slow(seconds=0), task, root=tmp_path)
    victim = sorted(folder.rglob("*.npz"))[3]
    data = victim.read_bytes()
    victim.write_bytes(data[: len(data) // 2])
    with pytest.raises(CfbenchError, match=rf"{victim.name} is damaged"):
        list(RunFolder(folder).shards())
    again, _ = evaluate(slow(seconds=0), task, root=tmp_path)
    assert again.scores == record.scores
    assert again.provenance.images == record.provenance.images


def test_a_folder_of_another_run_is_refused(task: Task, tmp_path: Path) -> None:
    _, first = evaluate(slow(seconds=0), task, root=tmp_path, limit=4)
    _, second = evaluate(slow(seconds=0), task, root=tmp_path, limit=4, seed=1)
    (second / "key.json").write_bytes((first / "key.json").read_bytes())
    with pytest.raises(RunMismatch, match="holds a run with seed 0, asked for 1; choose another --out"):
        evaluate(slow(seconds=0), task, root=tmp_path, limit=4, seed=1)


def test_parameters_seed_and_targets_go_to_folders_of_their_own(toy: object, tmp_path: Path) -> None:
    near, other = Task(toy, targets="near"), Task(toy, targets="any")  # type: ignore[arg-type]
    folders = {
        evaluate(slow(seconds=0), near, root=tmp_path, limit=4)[1],
        evaluate(slow(seconds=0.001), near, root=tmp_path, limit=4)[1],
        evaluate(slow(seconds=0), near, root=tmp_path, limit=4, seed=1)[1],
        evaluate(slow(seconds=0), other, root=tmp_path, limit=4)[1],
    }
    assert len(folders) == 4


def test_cost_counts_every_image_once(task: Task, tmp_path: Path) -> None:
    record, folder = evaluate(METHODS.load("pgd")(steps=7), task, root=tmp_path, limit=10, batch_size=5)
    assert (record.cost.forwards, record.cost.backwards) == (70, 70)
    assert record.cost.setup_forwards == 0
    assert record.cost.explain_seconds > 0
    table = pd.read_parquet(folder / TABLE)
    assert (table["forwards"] == 7).all()
    reference, _ = evaluate(METHODS.load("nearest-unlike")(), task, root=tmp_path, limit=10)
    assert (reference.cost.setup_forwards, reference.cost.forwards) == (120, 0)


def test_the_record_is_read_back_as_written(task: Task, tmp_path: Path) -> None:
    record, folder = evaluate(METHODS.load("identity")(), task, root=tmp_path)
    assert Record.read(folder) == record
    assert record.key.networks.keys() == {"classifier"}
    assert set(record.provenance.networks) == set(task.dataset.networks)
    assert (record.card.track, record.card.access) == ("data-free", "black-box")


def test_positions_are_cut_into_shards() -> None:
    assert list(cut([range(5)], 2)) == [range(2), range(2, 4), range(4, 5)]
    assert list(cut([range(2), range(5, 8)], 10)) == [range(2), range(5, 8)]
    assert list(cut([], 3)) == []


@pytest.mark.parametrize("options", [{"limit": 0}, {"batch_size": 0}])
def test_nonsense_options_are_refused(options: dict[str, int], task: Task, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="expected whole numbers of at least 1"):
        evaluate(METHODS.load("identity")(), task, root=tmp_path, **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
