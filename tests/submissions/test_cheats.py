"""Submissions that cheat are refused, each with the reason; every one starts from a real run of the toy task."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from bundles import (
    Change,
    accepted,
    bundle_of,
    card_of,
    edited,
    forged,
    images_of,
    members_of,
    npy,
    put,
    refusal,
    run_of,
    run_with,
    shard_names,
    shard_with,
)

from cfbench.board.bundle import MANIFEST
from cfbench.board.submitting import submit
from cfbench.errors import InvalidParameter
from cfbench.harness import evaluate
from cfbench.images import quantise
from cfbench.record import FILE, TABLE, Record
from cfbench.registry import METHODS
from cfbench.task import Task
from cfbench.testing import Toy


def table(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Change:
    """Rewrites the query table of a bundle."""

    def rewrite(members: dict[str, bytes]) -> None:
        buffer = io.BytesIO()
        change(pd.read_parquet(io.BytesIO(members[TABLE]))).to_parquet(buffer, index=False)
        members[TABLE] = buffer.getvalue()

    return rewrite


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("scores.flip_rate.all.value", 0.99, "flip_rate, all: value is 0.99; the images give"),
        ("scores.l1.all.value", 0.001, "l1, all: value is 0.001; the images give"),
        ("scores.l1.all.ci95", [0.0, 0.1], "l1, all: ci95.0 is 0.0; the images give"),
        ("scores.l1.all.ci95", None, "l1, all: ci95"),
        ("scores.fd.all.replicates.3", 0.5, "fd, all: replicates.3 is 0.5"),
        ("scores.l1.flipped.n", 61, "l1, flipped: n is 61"),
        ("scores.l1.all.network", "other@0123", "l1, all: network is 'other@0123'; the images give None"),
        ("scores.l1.all.version", 2, "l1, all: version is 2; the images give 1"),
        ("scores.composition.all.value", 0.0, "composition, all: value is 0.0; the images give None"),
        ("scores.truth_distance.all.value", None, ""),
        ("scores.made_up", {"all": {"value": 1.0, "n": 60, "version": 1}}, "'made_up' is in one only"),
        ("queries.failed", 1, "queries is Queries(expected=60, requested=60, done=60, failed=1)"),
        ("cost.forwards", 3, "cost is Cost("),
        ("cost.seconds_per_query", 1e-9, "cost is Cost("),
        ("provenance.images", "0" * 64, "run.json is the record of other images: provenance.images is 000"),
    ],
)
def test_an_edited_score_is_named(place: str, value: object, said: str, bundle: Path, toy: Toy, tmp_path: Path) -> None:
    made = forged(bundle, tmp_path / "edited.zip", edited(place, value))
    if said:
        refusal(made, toy, "run.json", said)
    else:
        assert accepted(made, toy).record.scores["truth_distance"]["all"].value is None


def test_scores_edited_in_record_and_table_alike_are_refused(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        edited("scores.l1.all.value", 0.0)(members)
        table(lambda rows: rows.assign(l1=0.0))(members)

    refusal(
        forged(bundle, tmp_path / "both.zip", change),
        toy,
        "queries.parquet: l1 of test-00000 is 0.0; the images give 0.06013",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.drop(index=7), "has 59 rows"),
        (lambda rows: pd.concat([rows, rows[:1]]), "has 61 rows"),
        (lambda rows: rows.assign(query_id=rows["query_id"].replace("test-00003", "test-00002")), "in row 3; expected"),
        (lambda rows: rows.iloc[::-1], "in row 0; expected"),
        (lambda rows: rows.assign(flipped=~rows["flipped"]), "60 of 60 queries are judged otherwise here, first test-"),
        (lambda rows: rows.assign(**{"oracle-1_prediction": rows["target"]}), "queries are judged otherwise here"),
        (lambda rows: rows.assign(target=rows["source"]), "queries.parquet: target of test-00000"),
        (lambda rows: rows.drop(columns="l1"), "other columns than the images give, first l1 (double)"),
        (lambda rows: rows.assign(l1=rows["l1"].astype("float32")), "first l1 ("),
        (lambda rows: rows.assign(more=1), "first more (int64)"),
    ],
)
def test_a_query_table_that_is_not_of_the_images_is_refused(
    change: Callable[[pd.DataFrame], pd.DataFrame], said: str, bundle: Path, toy: Toy, tmp_path: Path
) -> None:
    refusal(forged(bundle, tmp_path / "table.zip", table(change)), toy, "queries.parquet", said)


def without_last(members: dict[str, bytes]) -> None:
    del members[shard_names(members)[-1]]


def without_first(members: dict[str, bytes]) -> None:
    del members[shard_names(members)[0]]


def without_any(members: dict[str, bytes]) -> None:
    for name in shard_names(members):
        del members[name]


def first_twice(members: dict[str, bytes]) -> None:
    """The images of the first queries stand in for those of the second shard too."""
    first, second, _ = shard_names(members)
    del members[second]
    put(members, second, members[first])


def overlapping(members: dict[str, bytes]) -> None:
    first, *_ = shard_names(members)
    put(members, first.replace("0000019", "0000018"), members[first])


def beyond(members: dict[str, bytes]) -> None:
    last = shard_names(members)[-1]
    put(members, last.replace("0000059", "0000079"), members[last])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_last, "counterfactuals lacks the queries from 40 on; expected all 60 of toy@v1"),
        (without_first, "queries from 0 on are missing; expected each of the 60 of toy@v1 once"),
        (without_any, "the bundle has no shards in counterfactuals; expected the images of all 60 queries"),
        (first_twice, "says that its first query is 0; expected 20, as in its name"),
        (overlapping, "shape [20, 1, 12, 12]; expected uint8 and [19, 1, 12, 12]"),
        (beyond, "queries from 40 on are there twice, or none of the task"),
        (shard_with(images=npy(torch.zeros(19, 1, 12, 12, dtype=torch.uint8))), "expected uint8 and [20, 1, 12, 12]"),
    ],
)
def test_missing_and_duplicated_queries_are_refused(
    change: Change, said: str, bundle: Path, toy: Toy, tmp_path: Path
) -> None:
    refusal(forged(bundle, tmp_path / "queries.zip", change), toy, said)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int64])
def test_images_that_are_not_8_bit_are_refused(dtype: torch.dtype, bundle: Path, toy: Toy, tmp_path: Path) -> None:
    exact = images_of(members_of(bundle))[:20].to(dtype).div(255).to(dtype)
    made = forged(bundle, tmp_path / "floats.zip", shard_with(images=npy(exact)))
    refusal(made, toy, "images of type", "expected uint8 and [20, 1, 12, 12]")


def test_images_of_another_form_or_run_are_refused(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    larger = torch.zeros(20, 1, 28, 28, dtype=torch.uint8)
    refusal(forged(bundle, tmp_path / "larger.zip", shard_with(images=npy(larger))), toy, "[20, 1, 28, 28]")
    other = toy.split_images("validation")[:20]
    made = forged(bundle, tmp_path / "other.zip", shard_with(images=npy(other)))
    refusal(made, toy, "run.json is the record of other images")


def test_another_tasks_run_is_refused(bundle: Path, toy: Toy, toy_folder: Path, tmp_path: Path) -> None:
    """The same images under other targets, splits, networks, or the name of another task."""
    method = METHODS.load("pgd")
    _, run = evaluate(method(), Task(toy, targets="any"), root=tmp_path / "any")
    other = bundle_of(run, tmp_path / "any.zip", method)
    made = forged(other, tmp_path / "near.zip", edited("key.targets", "near"))
    refusal(made, toy, "32 of 60 queries are judged otherwise here")
    refusal(forged(bundle, tmp_path / "a.zip", edited("key.split_hash", "0" * 64)), toy, "the splits of toy@v1")
    made = forged(bundle, tmp_path / "b.zip", edited("key.networks.classifier", "0" * 64))
    refusal(made, toy, "network 'classifier' of toy@v1")
    made = forged(bundle, tmp_path / "c.zip", edited("provenance.networks", {"oracle-9": "0" * 64}))
    refusal(made, toy, "network 'oracle-9' of toy@v1")
    made = forged(bundle, tmp_path / "d.zip", edited("key.task", "mnist@v1"))
    refusal(made, toy, "is of task mnist@v1; expected toy@v1")


def test_copies_of_training_images_are_refused_unless_training_data_is_declared(toy: Toy, tmp_path: Path) -> None:
    """A method without training data cannot come to return it, even within a few levels of noise."""
    task = Task(toy)
    pool = toy.split("pool")
    copied = torch.stack([pool.images[(pool.labels == target).nonzero()[0, 0]] for target in task.targets])
    noise = torch.randint(-4, 5, copied.shape, generator=torch.Generator().manual_seed(0))
    noisy = (copied.int() + noise).clamp(0, 255).to(torch.uint8)
    method = METHODS.load("noise")
    run = run_with(noisy, method, toy, tmp_path)
    made = bundle_of(run, tmp_path / "copies.zip", method)
    refusal(made, toy, "60 of 60 changed counterfactuals are copies of images of the training pool", "training data")

    neighbour = METHODS.load("nearest-unlike")
    _, run = run_of(neighbour, toy, tmp_path)
    verdict = accepted(bundle_of(run, tmp_path / "neighbour.zip", neighbour), toy)
    assert verdict.flags == ("60 of 60 changed counterfactuals are copies of real images",)


@pytest.mark.parametrize("split", ["reference", "test", "validation"])
def test_copies_of_images_that_no_method_is_given_are_always_refused(split: str, toy: Toy, tmp_path: Path) -> None:
    task = Task(toy)
    real = toy.split(split)
    chosen = [
        next(index for index in torch.nonzero(real.labels == target)[:, 0].tolist() if split != "test" or index != row)
        for row, target in enumerate(task.targets)
    ]
    method = METHODS.load("nearest-unlike")
    run = run_with(real.images[chosen], method, toy, tmp_path)
    refusal(bundle_of(run, tmp_path / "copies.zip", method), toy, "60 of 60", "held-out images or of other queries")


def test_one_copy_in_sixty_is_seen(toy: Toy, tmp_path: Path) -> None:
    """Up to one in a hundred may be chance."""
    method = METHODS.load("noise")
    _, run = run_of(method, toy, tmp_path)
    images = images_of(members_of(bundle_of(run, tmp_path / "honest.zip", method)))
    images[5] = toy.split_images("pool")[3]
    run = run_with(images, method, toy, tmp_path)
    refusal(bundle_of(run, tmp_path / "one.zip", method), toy, "1 of 60 changed counterfactuals")


def test_a_partial_run_is_neither_bundled_nor_accepted(toy: Toy, tmp_path: Path) -> None:
    method = METHODS.load("pgd")
    record, run = run_of(method, toy, tmp_path, limit=40)
    with pytest.raises(InvalidParameter, match="is partial, with 40 of 60 queries; only complete runs are submitted"):
        submit(run, card_of(record), tmp_path / "out.zip", method=method, dataset=toy)
    assert not (tmp_path / "out.zip").exists()
    made = bundle_of(run, tmp_path / "partial.zip", method)
    refusal(made, toy, "run.json is of 40 of 60 queries", "status partial", "expected a complete run")
    presented = forged(made, tmp_path / "presented.zip", edited("status", "complete"))
    refusal(presented, toy, "run.json is of 40 of 60 queries")
    whole = {"expected": 60, "requested": 60, "done": 60, "failed": 0}
    presented = forged(presented, tmp_path / "whole.zip", edited("queries", whole))
    refusal(presented, toy, "lacks the queries from 40 on")
    small = {"expected": 40, "requested": 40, "done": 40, "failed": 0}
    presented = forged(presented, tmp_path / "small.zip", edited("queries", small))
    refusal(presented, toy, "run.json is of 40 queries; toy@v1 has 60")


def test_a_validation_run_is_refused(toy: Toy, tmp_path: Path) -> None:
    method = METHODS.load("pgd")
    _, run = evaluate(method(), Task(toy, split="validation"), root=tmp_path)
    refusal(bundle_of(run, tmp_path / "v.zip", method), toy, "split 'validation'", "on test queries")


def test_hashes_that_do_not_fit_are_named(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    made = forged(bundle, tmp_path / "a.zip", edited("scores.l1.all.value", 0.1), refit=False)
    refusal(made, toy, "run.json is not what bundle.json says", "of sha256", "expected")
    made = forged(bundle, tmp_path / "b.zip", edited("members", {}, MANIFEST), refit=False)
    refusal(made, toy, "'adapter.py' is in the bundle alone; expected the same members in both")
    made = forged(bundle, tmp_path / "c.zip", without_last, refit=False)
    refusal(made, toy, "is in bundle.json alone")

    def renamed(members: dict[str, bytes]) -> None:
        name = shard_names(members)[0]
        members[name.rpartition("-")[0] + "-0123456789abcdef.npz"] = members.pop(name)

    refusal(forged(bundle, tmp_path / "d.zip", renamed), toy, "expected it to begin as in its name")


def test_scores_that_cannot_be_computed_here_are_not_published(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    """A value that needs weights or packages that are not here can be neither confirmed nor refuted."""
    invented = {"value": 0.01, "ci95": [0.0, 0.02], "n": 60, "version": 1, "network": "lpips-0.1-alex@7be5be791159"}
    made = forged(bundle, tmp_path / "a.zip", edited("scores.truth_distance.all", invented))
    verdict = accepted(made, toy)
    assert verdict.record.scores["truth_distance"]["all"].value is None
    assert any("truth_distance" in flag and "not published" in flag for flag in verdict.flags)


def test_an_honest_bundle_is_accepted_and_gives_its_own_record(bundle: Path, toy: Toy) -> None:
    verdict = accepted(bundle, toy)
    record = Record.model_validate_json(members_of(bundle)[FILE])
    assert verdict.record == record
    assert verdict.flags == ()
    assert any("the same bit for bit" in line for line in verdict.confirmed)
    assert torch.equal(images_of(members_of(bundle)), quantise(images_of(members_of(bundle)).float() / 255))
