"""Who is ranked on boards whose answer is known: by hand, by scipy, by what must never happen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from published import board_folder, shares, write_entry
from scipy.stats import permutation_test

from cfbench.board.boards import Board, boards_of
from cfbench.board.entries import read_entries
from cfbench.board.ranking import Row
from cfbench.board.rules import Rules
from cfbench.errors import CorruptFile
from cfbench.stats import bootstrap_mean

N = 200
CLEAR = {"pgd": 0.3, "best": 0.9, "good": 0.6, "bad": 0.28}
"""Methods and the share of oracles that they convince; far enough apart to be told apart on 200 queries."""


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return board_folder(tmp_path)


def boards(records: Path) -> list[Board]:
    return boards_of(read_entries(records), Rules.beside(records))


def rows(records: Path) -> dict[str, Row]:
    """The rows of the only board by their labels."""
    [board] = boards(records)
    return {row.label: row for row in board.rows}


def write(records: Path, rates: dict[str, float], *, n: int = N) -> None:
    for seed, (method, rate) in enumerate(rates.items()):
        write_entry(records, method, shares(n, rate, seed))


def test_gate_ranks_and_groups(records: Path) -> None:
    write(records, CLEAR | {"twin": 0.9})
    found = rows(records)
    assert [*found] == ["best", "twin", "good", "bad", "pgd"]
    assert {label: row.status for label, row in found.items()} == {
        **dict.fromkeys(("best", "twin", "good"), "ranked"),
        "bad": "adversarial",
        "pgd": "reference",
    }
    assert [found[label].rank for label in ("best", "twin", "good")] == [(1, 2), (1, 2), (3, 3)]
    assert [found[label].group for label in ("best", "twin", "good")] == [1, 1, 2]
    assert all(found[label].rank is found[label].group is None for label in ("bad", "pgd"))
    assert "not above that of pgd" in found["bad"].reason
    assert found["best"].reason == ""


def test_the_task_with_the_most_records_comes_first(records: Path) -> None:
    write_entry(records, "pgd", np.ones(10), key={"task": "a@v1"})
    for method in ("pgd", "mine"):
        write_entry(records, method, np.ones(10), key={"task": "b@v1"})
    write_entry(records, "pgd", np.ones(10), key={"task": "c@v1"})
    assert [board.record.key.task for board in boards(records)] == ["b@v1", "a@v1", "c@v1"]
    first = Rules.beside(records).model_copy(update={"first": ("c@v1", "gone@v1", "a@v1")})
    assert [board.record.key.task for board in boards_of(read_entries(records), first)] == ["c@v1", "a@v1", "b@v1"]


@pytest.mark.parametrize(("wins", "status"), [(8, "ranked"), (5, "adversarial")])
def test_the_gate_by_hand(records: Path, wins: int, status: str) -> None:
    """With one oracle and two rows the p-value is that of ``wins`` heads in a row: 2 / 2^8 < .05, 2 / 2^5 > .05."""
    write_entry(records, "pgd", np.zeros(10))
    write_entry(records, "mine", np.arange(10) < wins)
    assert rows(records)["mine"].status == status


def test_the_gate_is_corrected_for_all_pairs(records: Path) -> None:
    """Seven wins, p = 2 / 2^7, pass between two rows; as the least p of the six pairs of four it is times six."""
    write_entry(records, "pgd", np.zeros(10))
    write_entry(records, "mine", np.arange(10) < 7)
    assert rows(records)["mine"].status == "ranked"
    for other in ("noise", "identity"):
        write_entry(records, other, np.arange(10) < 1)
    assert rows(records)["mine"].status == "adversarial"


def test_every_row_of_the_attack_must_be_beaten(records: Path) -> None:
    write(records, {"pgd": 0.1, "mine": 0.5})
    assert rows(records)["mine"].status == "ranked"
    write_entry(records, "pgd", shares(N, 0.6, 9), key={"parameters": {"norm": "l2"}})
    assert rows(records)["mine"].status == "adversarial"


def test_references_win_nothing(records: Path) -> None:
    write(records, {"pgd": 0.2, "mine": 0.6, "nearest-unlike": 0.95, "identity": 0.0, "noise": 0.01, "truth": 1.0})
    write_entry(records, "oracle", np.ones(N), track="reference")
    found = rows(records)
    assert {label for label, row in found.items() if row.status == "reference"} == {*found} - {"mine"}
    assert found["mine"].rank == (1, 1), "references take no rank from others"
    assert all(
        row.rank is None and row.group is None and not row.pareto for row in found.values() if row.label != "mine"
    )


def test_a_submission_under_the_name_of_a_reference_is_neither_reference_nor_gate(records: Path) -> None:
    write(records, {"pgd": 0.2, "mine": 0.6})
    squatting = {"adapter": 64 * "9"}
    write_entry(records, "pgd", np.ones(N), key=squatting, submission={"verified": True})
    [squatter] = [row for row in rows(records).values() if row.entries[0].submission]
    assert squatter.status == "ranked"
    assert rows(records)["mine"].status == "ranked"


def test_without_the_attack_nothing_is_ranked(records: Path) -> None:
    write_entry(records, "alone", shares(N, 0.9, 0))
    row = rows(records)["alone"]
    assert (row.status, row.rank, row.pareto) == ("unranked", None, False)
    assert row.reason == "there is no complete run of pgd to compare with"


def test_partial_runs_are_never_ranked(records: Path) -> None:
    write(records, {"pgd": 0.2, "mine": 0.6})
    write_entry(records, "quick", np.ones(50), expected=N)
    write_entry(records, "short", np.ones(50))
    found = rows(records)
    for label in ("quick", "short"):
        assert (found[label].status, found[label].rank) == ("partial", None), "also where it calls itself complete"
        assert found[label].reason == "has explained 50 of 200 queries"
    assert found["mine"].rank == (1, 1)


def test_a_partial_attack_is_no_gate(records: Path) -> None:
    write_entry(records, "pgd", np.zeros(50), expected=N)
    write_entry(records, "mine", shares(N, 0.6, 1))
    assert {label: row.status for label, row in rows(records).items()} == {"pgd": "partial", "mine": "unranked"}


def test_a_partial_seed_is_a_row_of_its_own(records: Path) -> None:
    write(records, {"pgd": 0.2, "mine": 0.6})
    write_entry(records, "mine", np.ones(50), expected=N, key={"seed": 1})
    [board] = boards(records)
    assert [(row.label, row.status, len(row.entries)) for row in board.rows] == [
        ("mine", "ranked", 1),
        ("pgd", "reference", 1),
        ("mine", "partial", 1),
    ]


OTHERS = {
    "task": {"key": {"task": "circles@v1"}},
    "target rule": {"key": {"targets": "any"}},
    "split": {"key": {"split_hash": 64 * "8"}},
    "network explained": {"key": {"networks": {"classifier": 64 * "8"}}},
    "name of the network explained": {"key": {"classifier": "robust", "networks": {"robust": 64 * "3"}}},
    "oracles": {"networks": {"oracle_agreed_flip": "oracle-1@aaaa oracle-2@bbbb oracle-3@eeee"}},
    "extractor": {"networks": {"feat_dist": "extractor@eeee"}},
    "version of the headline": {"versions": {"oracle_agreed_flip": 2}},
    "version of a Pareto metric": {"versions": {"l1": 2}},
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_differs_is_never_ranked_together(records: Path, other: str) -> None:
    values = {"l1": np.full(N, 0.1), "feat_dist": np.full(N, 0.1)}
    for seed, method in enumerate(("pgd", "first", "second")):
        write_entry(records, method, shares(N, 0.2 + 0.3 * seed, seed), values=values)
    write_entry(records, "third", np.ones(N), values=values, **OTHERS[other])  # type: ignore[arg-type]
    found = boards(records)
    assert sorted(sorted(row.label for row in board.rows) for board in found) == [["first", "pgd", "second"], ["third"]]
    assert len({board.name for board in found}) == 2
    [alone] = [board.rows[0] for board in found if len(board.rows) == 1]
    assert (alone.status, alone.rank) == ("unranked", None)
    [board] = [board for board in found if len(board.rows) > 1]
    assert [row.rank for row in board.rows] == [(1, 1), (2, 2), None]


def test_missing_metrics_are_blank_and_off_the_front(records: Path) -> None:
    write_entry(records, "pgd", shares(N, 0.2, 0), values={"l1": np.full(N, 0.1)}, scores={"kd": 0.5})
    write_entry(records, "whole", shares(N, 0.6, 1), values={"l1": np.full(N, 0.1)}, scores={"kd": 0.5})
    write_entry(records, "older", shares(N, 0.9, 2), values={"l1": np.full(N, 0.1)})
    found = rows(records)
    assert "kd" not in found["older"].scores
    assert np.isnan(found["older"].value("kd"))
    assert (found["older"].rank, found["older"].pareto) == ((1, 1), False)
    assert found["whole"].pareto


def test_without_the_headline_a_row_is_unranked(records: Path) -> None:
    write(records, {"pgd": 0.2, "mine": 0.6})
    nothing = [np.nan] * N
    for method, table in {"no score": {}, "no values": {"oracle_agreed_flip": nothing}}.items():
        file = write_entry(records, method, np.full(N, 2 / 3), table=table) / "run.json"
        content = json.loads(file.read_text())
        content["scores"]["oracle_agreed_flip"]["all"]["value"] = None
        file.write_text(json.dumps(content))
    file = write_entry(records, "another metric", np.full(N, 2 / 3)) / "run.json"
    file.write_text(file.read_text().replace("oracle_agreed_flip", "another_metric"))
    found = rows(records)
    for label in ("no score", "no values", "another metric"):
        assert (found[label].status, found[label].rank) == ("unranked", None)
        assert found[label].reason == "has no oracle_agreed_flip of every query"
    assert found["mine"].rank == (1, 1)


def test_an_older_version_of_a_metric_that_decides_nothing_is_blank(records: Path) -> None:
    for version, method in ((2, "pgd"), (2, "new"), (1, "old")):
        write_entry(records, method, shares(N, 0.1 * version, 1), values={"l2": np.ones(N)}, versions={"l2": version})
    found = rows(records)
    assert found["new"].scores["l2"].value == 1
    assert found["old"].scores["l2"].value is None
    assert "score the run again" in str(found["old"].scores["l2"].reason)


def test_seeds_are_one_row_and_hold_for_new_seeds(records: Path) -> None:
    write(records, {"pgd": 0.3})
    for seed in range(3):
        write_entry(records, "steady", shares(N, 0.6, seed + 1), key={"seed": seed})
        moody = np.full(N, (1 / 3, 1 / 3, 1.0)[seed])
        write_entry(records, "moody", moody, key={"seed": seed})
    found = rows(records)
    assert len(found["steady"].entries) == 3
    assert found["steady"].scores["oracle_agreed_flip"].n == N
    assert (found["steady"].status, found["moody"].status) == ("ranked", "adversarial")
    one = permutation_test(
        (np.full(N, 5 / 9) - shares(N, 0.3, 0),), lambda x, axis: x.mean(axis), permutation_type="samples", rng=1
    )
    assert one.pvalue < 0.001, "as one table of means it would pass the gate"


def test_rows_are_told_apart_by_their_parameters(records: Path) -> None:
    write(records, {"pgd": 0.3})
    for steps in (10, 20):
        write_entry(records, "mine", shares(N, 0.6, steps), key={"parameters": {"steps": steps, "rate": 0.1}})
    assert {*rows(records)} == {"pgd", "mine steps=10", "mine steps=20"}


def test_the_pareto_front(records: Path) -> None:
    """Near but unconvincing, far but convincing, beaten by both, slow but else the same: by hand."""
    write_entry(records, "pgd", shares(N, 0.1, 0), values={"l1": np.full(N, 0.01)}, scores={"kd": 0.1})
    made = {"near": (0.5, 0.05, 1), "far": (0.9, 0.2, 1), "beaten": (0.4, 0.2, 1), "slow": (0.9, 0.2, 9)}
    for method, (rate, l1, seconds) in made.items():
        agreed = np.repeat([1.0, 0.0], [round(rate * N), N - round(rate * N)])
        write_entry(records, method, agreed, values={"l1": np.full(N, l1)}, scores={"kd": 0.5}, seconds=seconds)
    write_entry(records, "free", np.ones(N), values={"l1": np.full(N, 0.0)}, scores={"kd": 0.0}, seconds=None)
    found = rows(records)
    assert {label for label, row in found.items() if row.pareto} == {"near", "far"}
    assert found["free"].status == "ranked"
    assert found["free"].seconds is None


def test_a_criterion_that_no_row_has_is_left_out(records: Path) -> None:
    write(records, {"pgd": 0.2, "good": 0.6, "best": 0.9})
    assert {label for label, row in rows(records).items() if row.pareto} == {"best"}


def test_the_aggregate_by_hand(records: Path) -> None:
    """Far is 2, 1, 4 and 0 (none). Halfway and convincing 2 of 3: 1/3; twice as far: 0; a quarter: 3/4. Mean 13/36."""
    write_entry(records, "nearest-unlike", np.ones(4), values={"feat_dist": [2, 1, 4, 0]})
    write_entry(records, "mine", [2 / 3, 1, 1, 1], values={"feat_dist": [1, 2, 1, 1]})
    write_entry(records, "identity", np.zeros(4), values={"feat_dist": np.zeros(4)})
    write_entry(records, "blank", np.ones(4))
    found = rows(records)
    assert found["mine"].aggregate is not None
    assert found["mine"].aggregate.value == pytest.approx(13 / 36)
    assert (found["mine"].aggregate.n, found["mine"].aggregate.interval) == (3, None)
    assert [found[label].aggregate.value for label in ("nearest-unlike", "identity")] == [0, 0]  # type: ignore[union-attr]
    assert found["blank"].aggregate is None


def test_the_aggregates_interval_and_seeds(records: Path) -> None:
    far, near = np.full(N, 2.0), np.full(N, 0.5)
    write_entry(records, "nearest-unlike", np.ones(N), values={"feat_dist": far})
    agreed = shares(N, 0.5, 1)
    write_entry(records, "mine", agreed, values={"feat_dist": near})
    for seed in range(3):
        write_entry(records, "seeds", shares(N, 0.5, seed), values={"feat_dist": near}, key={"seed": seed})
    found = rows(records)
    assert found["mine"].aggregate.interval == pytest.approx(bootstrap_mean(0.75 * agreed), rel=1e-6)  # type: ignore[union-attr]
    several = found["seeds"].aggregate
    assert several is not None
    assert several.value == pytest.approx(0.75 * np.mean([shares(N, 0.5, seed) for seed in range(3)]))
    assert several.interval is not None
    assert several.interval[1] - several.interval[0] > 0.02


def test_without_the_far_method_the_aggregate_is_blank(records: Path) -> None:
    write_entry(records, "mine", np.ones(N), values={"feat_dist": np.ones(N)})
    write_entry(records, "nearest-unlike", np.ones(50), values={"feat_dist": np.ones(50)}, expected=N)
    assert rows(records)["mine"].aggregate is None


def test_queries_in_another_order_are_matched_by_name(records: Path) -> None:
    write_entry(records, "pgd", np.arange(20) < 10)
    order = np.random.default_rng(0).permutation(20)
    names = [f"test-{index:05d}" for index in order]
    write_entry(records, "mine", (np.arange(20) < 18)[order], table={"query_id": names})
    assert rows(records)["mine"].status == "ranked", "eight wins and no loss; matched by place it would lose some"


@pytest.mark.parametrize("column", ["query_id", "target"])
def test_other_queries_of_one_split_are_refused(records: Path, column: str) -> None:
    write(records, {"mine": 0.5}, n=20)
    changed: dict[str, Sequence[object]] = {"query_id": [f"other-{i}" for i in range(20)], "target": [2] * 20}
    folder = write_entry(records, "pgd", shares(20, 0.3, 0), table={column: changed[column]})
    with pytest.raises(CorruptFile, match=f"{folder.name}.* explain other queries"):
        boards(records)


def test_boards_stand_in_a_fixed_order(records: Path) -> None:
    keys = (
        {"task": "b@v1", "targets": "any"},
        {"task": "b@v1"},
        {"task": "a@v1", "classifier": "robust", "networks": {"robust": 64 * "3"}},
        {"task": "a@v1"},
    )
    for key in keys:
        write_entry(records, "pgd", np.ones(4), key=key)
    names = [board.name for board in boards(records)]
    assert names == ["a@v1-near", "a@v1-near-robust", "b@v1-near", "b@v1-any"]
