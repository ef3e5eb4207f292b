"""Bundles: the same bytes for the same run, verified before they are written, published as entries of the board."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bundles import (
    accepted,
    adapter_file,
    bundle_of,
    card_of,
    edited,
    forged,
    members_of,
    npy,
    refusal,
    run_of,
    shard_with,
)

from cfbench.board.archive import Refused
from cfbench.board.bundle import MANIFEST
from cfbench.board.card import FILE as CARD
from cfbench.board.card import read_card, write_template
from cfbench.board.entries import read_entry
from cfbench.board.recomputed import check_record, check_table
from cfbench.board.submitting import submit
from cfbench.board.verify import verify
from cfbench.errors import CfbenchError, CorruptFile, InvalidParameter
from cfbench.files import sha256_bytes, sha256_file
from cfbench.harness import evaluate
from cfbench.record import FILE, TABLE, Record
from cfbench.registry import METHODS
from cfbench.task import Task
from cfbench.testing import Toy

RULES = Path(__file__).parents[2] / "leaderboard" / "board.toml"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Records of an empty leaderboard."""
    folder = tmp_path / "leaderboard"
    folder.mkdir()
    shutil.copy(RULES, folder)
    return folder / "records"


def test_the_same_run_gives_the_same_bytes(run: Path, bundle: Path, toy: Toy, tmp_path: Path) -> None:
    """Wherever it lies, and whenever its files were written."""
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(run, copy)
    for file in copy.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    attack = METHODS.load("pgd")
    made = tmp_path / "again.zip"
    submit(copy, card_of(Record.read(copy)), made, method=attack, dataset=toy)
    assert made.read_bytes() == bundle.read_bytes()


def test_a_bundle_holds_what_its_manifest_names(run: Path, bundle: Path) -> None:
    members = members_of(bundle)
    shards = {f"counterfactuals/{file.name}" for file in (run / "counterfactuals").iterdir()}
    assert set(members) == {MANIFEST, FILE, TABLE, "adapter.py", CARD, *shards}
    manifest = json.loads(members.pop(MANIFEST))
    assert manifest["members"] == {
        name: {"bytes": len(data), "sha256": sha256_bytes(data)} for name, data in members.items()
    }
    for name in (FILE, TABLE, *shards):
        assert members[name] == (run / name).read_bytes()
    assert members["adapter.py"] == (Path(__file__).parents[2] / "methods" / "pgd.py").read_bytes()
    with zipfile.ZipFile(bundle) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_bundle_that_would_be_refused_is_not_written(run: Path, toy: Toy, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    content = json.loads((copy / FILE).read_text())
    content["scores"]["l1"]["all"]["value"] = 0.0
    (copy / FILE).write_text(json.dumps(content))
    out = tmp_path / "out"
    with pytest.raises(Refused, match=r"l1, all: value is 0\.0; the images give"):
        submit(copy, card_of(Record.read(copy)), out / "pgd.zip", method=METHODS.load("pgd"), dataset=toy)
    assert not list(out.iterdir())


def test_a_user_s_adapter_is_accepted_and_published(toy: Toy, records: Path, tmp_path: Path) -> None:
    method = adapter_file(tmp_path)
    record, run = run_of(method, toy, tmp_path)
    made = tmp_path / "brighten.zip"
    submit(run, card_of(record, notes="<b>bold</b>"), made, method=method, dataset=toy)
    verdict = verify(made, dataset=toy, records=records)
    assert verdict.record.scores == record.scores
    assert verdict.entry is not None
    entry = read_entry(verdict.entry)
    assert entry.record.key == record.key
    assert entry.submission is not None
    assert (entry.submission.author, entry.submission.notes) == ("A. Author", "<b>bold</b>")
    assert (entry.submission.verified, entry.submission.bundle) == (True, sha256_file(made))
    assert entry.gallery is not None
    refused = sorted(records.rglob("*"))
    with pytest.raises(Refused, match="is published already; take it away first"):
        verify(made, dataset=toy, records=records)
    assert sorted(records.rglob("*")) == refused


def test_a_refused_bundle_leaves_the_records_alone(bundle: Path, toy: Toy, records: Path, tmp_path: Path) -> None:
    made = forged(bundle, tmp_path / "edited.zip", edited("scores.flip_rate.all.value", 0.5))
    with pytest.raises(Refused):
        verify(made, dataset=toy, records=records)
    assert not records.exists()


def test_runs_of_protocols_go_into_the_bundle_and_are_scored_again(toy: Toy, tmp_path: Path) -> None:
    method = METHODS.load("noise")
    record, run = evaluate(method(), Task(toy), root=tmp_path, protocols=["seeds", "composition"])
    made = bundle_of(run, tmp_path / "protocols.zip", method)
    assert sum(name.startswith("protocols/") for name in members_of(made)) == 3
    assert accepted(made, toy).record.scores["seed_variance"] == record.scores["seed_variance"]
    refusal(
        forged(made, tmp_path / "edited.zip", edited("scores.seed_variance.all.value", 0.0)), toy, "seed_variance, all"
    )

    def without_rerun(members: dict[str, bytes]) -> None:
        del members[next(name for name in members if name.startswith("protocols/composition"))]

    refusal(forged(made, tmp_path / "lacking.zip", without_rerun), toy, "queries.parquet: composition of")

    def shifted(members: dict[str, bytes]) -> None:
        name = next(name for name in members if name.startswith("protocols/composition"))
        members[name.replace("0000000-0000059", "0000001-0000059")] = members.pop(name)

    refusal(forged(made, tmp_path / "shifted.zip", shifted), toy, "queries from 0 on are missing")


def test_a_reference_that_knows_the_truth_is_in_no_track(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    made = forged(bundle, tmp_path / "a.zip", edited("track", "reference", CARD))
    refusal(made, toy, "submission.json says 'white-box', 'reference'")


@pytest.fixture
def pair(run: Path, tmp_path: Path) -> tuple[Record, Path, Path]:
    """The record of the run, its table, and a copy of the table to be changed."""
    shutil.copy(run / TABLE, tmp_path / TABLE)
    return Record.read(run), tmp_path / TABLE, run / TABLE


def test_noise_of_another_machine_is_no_difference(pair: tuple[Record, Path, Path]) -> None:
    """Relative differences of 1e-4, and one query of 400 whose class is otherwise there."""
    record, changed, table = pair
    rows = pd.concat([pd.read_parquet(table)] * 7, ignore_index=True)
    rows.to_parquet(table.parent / "long.parquet", index=False)
    noisy = rows.assign(l1=rows["l1"] * 1.0001)
    noisy.loc[3, "oracle-1_prediction"] = 2 - noisy.loc[3, "oracle-1_prediction"] // 2
    noisy.loc[3, "oracle_agreement"] = 0.123
    noisy.to_parquet(changed, index=False)
    assert check_table(changed, table.parent / "long.parquet") == 1
    rows.assign(l1=rows["l1"] * 1.01).to_parquet(changed, index=False)
    with pytest.raises(Refused, match="l1 of test-00000 is"):
        check_table(changed, table.parent / "long.parquet")

    score = record.scores["l1"]["all"]
    nearly = score.model_copy(update={"value": score.value * 1.0001})
    other = record.model_copy(update={"scores": {**record.scores, "l1": {**record.scores["l1"], "all": nearly}}})
    assert check_record(other, record, moved=0, blocked=()) == []
    off = score.model_copy(update={"value": score.value * 1.01})
    other = record.model_copy(update={"scores": {**record.scores, "l1": {**record.scores["l1"], "all": off}}})
    with pytest.raises(Refused, match="l1, all: value is"):
        check_record(other, record, moved=0, blocked=())


def test_a_query_that_moved_may_move_a_score_by_its_share(run: Path) -> None:
    record = Record.read(run)
    flips = record.scores["flip_rate"]["all"]
    assert flips.value is not None
    for moved, value, fine in ((0, flips.value - 1 / 60, False), (1, flips.value - 1 / 60, True)):
        other = flips.model_copy(update={"value": value})
        scores = {**record.scores, "flip_rate": {**record.scores["flip_rate"], "all": other}}
        claimed = record.model_copy(update={"scores": scores})
        if fine:
            check_record(claimed, record, moved=moved, blocked=())
        else:
            with pytest.raises(Refused, match="flip_rate, all: value"):
                check_record(claimed, record, moved=moved, blocked=())


def test_the_template_of_a_card_knows_what_the_run_knows(run: Path, tmp_path: Path) -> None:
    record = Record.read(run)
    path = tmp_path / "card.toml"
    write_template(path, record)
    with pytest.raises(InvalidParameter, match=r"card.toml: author is wrong: String should have at least 1 character"):
        read_card(path)
    path.write_text(path.read_text().replace('author = ""', 'author = "Ö"').replace('licence = ""', 'licence = "MIT"'))
    card = read_card(path)
    assert (card.author, card.access, card.track) == ("Ö", "white-box", "data-free")
    assert record.provenance.torch in card.environment


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (b"author = ", CorruptFile, "card.toml is not a TOML file in UTF-8"),
        (b'author = "\xe9"', CorruptFile, "card.toml is not a TOML file in UTF-8"),
        (b'author = "a"\nauthor = "b"', CorruptFile, "card.toml is not a TOML file in UTF-8"),
        (b'writer = "a"', InvalidParameter, "card.toml: author is wrong: Field required"),
    ],
)
def test_a_card_that_is_wrong_is_named(data: bytes, error: type[CfbenchError], said: str, tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_bytes(data)
    with pytest.raises(error, match=said):
        read_card(tmp_path / "card.toml")


def test_further_counterfactuals_are_part_of_a_bundle(toy: Toy, tmp_path: Path) -> None:
    several = METHODS.load(f"{Path(__file__).parents[1] / 'adapters' / 'several.py'}:Several")
    record, run = run_of(several, toy, tmp_path)
    bundle = bundle_of(run, tmp_path / "several.zip", several)
    assert record.scores["diversity"]["all"].value is not None
    assert accepted(bundle, toy).record.scores == record.scores
    flood = np.zeros((10, 65, *toy.image_shape), np.uint8)
    made = forged(bundle, tmp_path / "flood.zip", shard_with(further=npy(flood)))
    refusal(made, toy, "holds further of type uint8", "expected uint8 and [10, 64, 1, 12, 12]")
