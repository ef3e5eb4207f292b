"""Comparing runs: the numbers of scipy and statsmodels, grouping by seed, and errors on the command line."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from commands import Command
from scipy.stats import permutation_test, ttest_rel
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

import cfbench
from cfbench.cli import main
from cfbench.comparison import Run, compare, group_runs
from cfbench.harness import evaluate
from cfbench.record import FILE, TABLE, Record
from cfbench.registry import METHODS
from cfbench.stats import crossed_difference
from cfbench.task import Task
from cfbench.testing import Toy

Runs = dict[str, Path]
Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def runs(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Finished runs on the toy task by name."""
    root, toy = tmp_path_factory.mktemp("runs"), Toy(toy_folder)
    near, other = Task(toy), Task(toy, targets="any", split="validation")
    noise = [evaluate(METHODS.load("noise")(epsilon=0.3), near, root=root, seed=seed)[1] for seed in range(3)]
    return {
        **{f"noise{seed}": path for seed, path in enumerate(noise)},
        "pgd": evaluate(METHODS.load("pgd")(epsilon=0.2), near, root=root)[1],
        "weak": evaluate(METHODS.load("pgd")(epsilon=0.05), near, root=root)[1],
        "identity": evaluate(METHODS.load("identity")(), near, root=root)[1],
        "same": evaluate(METHODS.load("identity")(), near, root=root, seed=1)[1],
        "short": evaluate(METHODS.load("noise")(epsilon=0.3), near, root=root / "short", limit=40)[1],
        "validation": evaluate(METHODS.load("pgd")(epsilon=0.2), other, root=root)[1],
    }


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Path, Edit], Path]:
    """A copy of a run with another ``run.json``."""

    def copy(run: Path, edit: Edit) -> Path:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}-{run.name}"
        shutil.copytree(run, folder)
        content = json.loads((folder / FILE).read_text())
        edit(content)
        (folder / FILE).write_text(json.dumps(content))
        return folder

    return copy


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What ``cfbench compare`` prints on stderr, in one line, when it ends with exit code 2."""
    return Command("compare", capsys).refused


def tables(runs: Runs, *names: str) -> list[pd.DataFrame]:
    return [pd.read_parquet(runs[name] / TABLE) for name in names]


def compared(runs: Runs, *names: str, **options: Any) -> pd.DataFrame:
    return compare(group_runs([runs[name] for name in names]), **options).set_index("metric")


def test_means_of_one_seed_agree_with_scipy(runs: Runs) -> None:
    found = compared(runs, "pgd", "noise0").loc["l1"]
    a, b = (table["l1"].to_numpy() for table in tables(runs, "pgd", "noise0"))
    assert (found["mean_a"], found["mean_b"]) == pytest.approx((a.mean(), b.mean()))
    assert found["difference"] == pytest.approx((a - b).mean())
    assert np.isnan([found["low"], found["high"]]).all(), "60 queries are too few for an interval"
    assert (found["n"], found["test"], found["p"]) == (60, "sign flip", 2e-4)
    assert found["verdict"] == ("A better" if a.mean() < b.mean() else "B better")


def test_a_sign_flip_without_a_clear_difference_agrees_with_scipy(
    runs: Runs, edited: Callable[..., Path], tmp_path: Path
) -> None:
    copy = edited(runs["noise0"], lambda content: content["key"]["parameters"].update(epsilon=0.31))
    table = pd.read_parquet(copy / TABLE)
    table["l1"] += np.random.default_rng(0).normal(0.01, 0.05, size=len(table))
    table.to_parquet(copy / TABLE)
    found = compare(group_runs([copy, runs["noise0"]]), metrics=["l1"]).iloc[0]
    difference = table["l1"].to_numpy() - tables(runs, "noise0")[0]["l1"].to_numpy()
    expected = permutation_test(
        (difference,), lambda x, axis: np.mean(x, axis=axis), permutation_type="samples", n_resamples=9_999, rng=1
    ).pvalue
    assert found["p"] == pytest.approx(expected, abs=6 * np.sqrt(2 * expected / 10_000))
    assert 0.001 < expected < 0.999


def test_flips_of_one_seed_agree_with_statsmodels(runs: Runs) -> None:
    found = compared(runs, "pgd", "weak").loc["flip_rate"]
    a, b = (table["flipped"].to_numpy() for table in tables(runs, "pgd", "weak"))
    cells = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    assert found["p"] == pytest.approx(mcnemar(cells, exact=True).pvalue)
    assert found["difference"] == pytest.approx(a.mean() - b.mean())
    assert found["low"] < found["difference"] < found["high"]


def test_seeds_are_one_method(runs: Runs) -> None:
    found = compared(runs, "noise0", "pgd", "noise1", "noise2").loc["l1"]
    seeds = np.stack([table["l1"] for table in tables(runs, "noise0", "noise1", "noise2")])
    expected = crossed_difference(seeds, tables(runs, "pgd")[0]["l1"].to_numpy()[None])
    assert (found["a"], found["b"], found["seeds_a"], found["seeds_b"]) == ("noise", "pgd", 3, 1)
    assert (found["difference"], found["low"], found["high"], found["p"]) == pytest.approx(
        (expected.value, *expected.interval, expected.p)
    )


def test_seeds_of_a_deterministic_method_count_as_one(runs: Runs) -> None:
    found = compared(runs, "identity", "same", "pgd")
    assert (found.loc["l1", "seeds_a"], found.loc["l1", "test"]) == (2, "sign flip")
    assert found.loc["flip_rate", "test"] == "McNemar"


def test_holm_spans_every_pair_and_metric(runs: Runs) -> None:
    found = compare(group_runs([runs[name] for name in ("noise0", "pgd", "weak", "identity")]))
    made = found.dropna(subset="p")
    assert set(zip(made["a"], made["b"], strict=True)) >= {
        ("noise", "pgd epsilon=0.2"),
        ("pgd epsilon=0.2", "pgd epsilon=0.05"),
        ("pgd epsilon=0.05", "identity"),
    }
    np.testing.assert_allclose(made["p_holm"], multipletests(made["p"], method="holm")[1])
    clear = made["p_holm"] < 0.05
    assert (made.loc[~clear, "verdict"] == "no difference shown").all()
    higher = (made["difference"] > 0) == (made["better"] == "higher")
    np.testing.assert_array_equal(made.loc[clear, "verdict"], np.where(higher[clear], "A better", "B better"))
    assert clear.any()


def test_a_method_against_itself_shows_no_difference(runs: Runs, edited: Callable[..., Path]) -> None:
    copy = edited(runs["pgd"], lambda content: content["key"].update(method="twin"))
    found = compare(group_runs([runs["pgd"], copy])).dropna(subset="p")
    assert (found["difference"] == 0).all()
    assert (found["p_holm"] == 1).all()
    assert (found["verdict"] == "no difference shown").all()


def test_only_shared_queries_and_their_order_by_name(runs: Runs, edited: Callable[..., Path]) -> None:
    short = compared(runs, "short", "pgd").loc["l1"]
    a, b = (table["l1"].head(40) for table in tables(runs, "short", "pgd"))
    assert (short["n"], short["difference"]) == (40, pytest.approx((a - b).mean()))
    shuffled = edited(runs["pgd"], lambda content: None)
    pd.read_parquet(shuffled / TABLE).sample(frac=1, random_state=0).to_parquet(shuffled / TABLE)
    again = compare(group_runs([runs["short"], shuffled])).set_index("metric").loc["l1"]
    assert again["p"] == short["p"]
    assert np.isnan([short["low"], short["high"]]).all(), "forty queries are too few for an interval of a mean"


def test_flipped_subset_and_undefined_values(runs: Runs, edited: Callable[..., Path]) -> None:
    first, second = tables(runs, "pgd", "noise0")
    both = (first["flipped"] & second["flipped"]).to_numpy()
    assert 2 <= both.sum() < 60
    found = compared(runs, "pgd", "noise0", subset="flipped")
    assert found.loc["l1", "n"] == both.sum()
    assert found.loc["l1", "difference"] == pytest.approx((first["l1"] - second["l1"])[both].mean())
    assert "flip_rate" not in found.index
    copy = edited(runs["pgd"], lambda content: None)
    pd.read_parquet(copy / TABLE).assign(l1=lambda table: table["l1"].where(table.index >= 7)).to_parquet(copy / TABLE)
    found = compare(group_runs([copy, runs["noise0"]])).set_index("metric")
    assert found.loc["l1", "n"] == 53
    assert found.loc["l1", "difference"] == pytest.approx((first["l1"] - second["l1"])[7:].mean())


def test_failed_queries_stay_in(runs: Runs, toy_folder: Path, tmp_path: Path) -> None:
    bad = METHODS.load(f"{Path(__file__).parent}/adapters/bad.py:SometimesRaises")
    record, folder = evaluate(bad(), Task(Toy(toy_folder)), root=tmp_path)
    found = compare(group_runs([folder, runs["pgd"]])).set_index("metric")
    assert record.queries.failed > 0
    assert found.loc["flip_rate", "n"] == 60
    assert found.loc["flip_rate", "mean_a"] == record.scores["flip_rate"]["all"].value


def test_jackknife_replicates_are_compared_in_pairs(runs: Runs, edited: Callable[..., Path]) -> None:
    random = np.random.default_rng(2)
    shared, own = random.normal(0, 0.1, 20), random.normal(0, 0.02, (2, 20))
    replicates = shared + own + [[1.0], [1.3]]

    def give(side: int, **extra: float) -> Edit:
        facts = {"value": float(replicates[side].mean()), "replicates": list(replicates[side]), "corrected": None}
        facts |= extra
        return lambda content: content["scores"]["fd"]["all"].update(facts)

    plain = [edited(runs[name], give(side)) for side, name in enumerate(("pgd", "noise0"))]
    found = compare(group_runs(plain)).set_index("metric").loc["fd"]
    expected = ttest_rel(*(20 * values.mean() - 19 * values for values in replicates))
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected.confidence_interval()))
    assert (found["p"], found["test"], found["n"]) == (pytest.approx(expected.pvalue), "jackknife t", 60)

    corrected = [edited(runs[name], give(side, corrected=0.5 + side)) for side, name in enumerate(("pgd", "noise0"))]
    assert compare(group_runs(corrected), metrics=["fd"])["difference"].item() == pytest.approx(-1)

    without = edited(runs["noise0"], lambda content: content["scores"]["fd"]["all"].update(replicates=None))
    half = compare(group_runs([plain[0], without]), metrics=["fd"]).iloc[0]
    assert half["verdict"] == "not comparable: neither query values nor equal jackknife replicates"
    short = edited(runs["short"], give(1))
    partial = compare(group_runs([plain[0], short]), metrics=["fd"])["verdict"].item()
    assert partial in ("not comparable: not over the shared queries alone", "not comparable: no value in B")


def test_other_networks_and_versions_are_left_out_of_the_correction(runs: Runs, edited: Callable[..., Path]) -> None:
    def change(content: dict[str, Any]) -> None:
        content["scores"]["feat_dist"]["all"]["network"] = "extractor@0000"
        content["scores"]["l1"]["all"]["version"] = 99
        content["scores"]["l2"]["all"].update(value=None, ci95=None, reason="broken")

    found = compare(group_runs([runs["pgd"], edited(runs["noise0"], change)])).set_index("metric")
    assert found.loc["feat_dist", "verdict"] == "not comparable: other network"
    assert found.loc["l1", "verdict"] == "not comparable: other version of the metric"
    assert found.loc["l2", "verdict"] == "not comparable: no value in B"
    assert found.loc[["feat_dist", "l1", "l2"], ["difference", "p", "p_holm"]].isna().all(axis=None)
    made = found.dropna(subset="p")
    np.testing.assert_allclose(made["p_holm"], multipletests(made["p"], method="holm")[1])


def test_records_of_before_the_new_fields_still_load(runs: Runs, edited: Callable[..., Path]) -> None:
    def drop(content: dict[str, Any]) -> None:
        for subsets in content["scores"].values():
            for score in subsets.values():
                del score["replicates"], score["corrected"]

    old = edited(runs["pgd"], drop)
    found, kept = Run.read(old).record.scores["fd"]["all"], Record.read(runs["pgd"]).scores["fd"]["all"]
    assert (found.value, found.ci95, found.n) == (kept.value, kept.ci95, kept.n)
    assert found.replicates is found.corrected is None


def test_compare_is_public() -> None:
    assert cfbench.compare is compare
    assert cfbench.compare is cfbench.comparison.compare
    assert cfbench.group_runs is group_runs


def test_the_command_line_prints_and_writes(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    folders = [runs["pgd"], runs["noise0"], runs["noise1"]]
    arguments = ["--out", "compare.csv", "--metrics", "l1,fd"]
    monkeypatch.setattr(sys, "argv", ["cfbench", "compare", *map(str, folders), *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    printed = capsys.readouterr().out
    for words in ("A = pgd (1 seed), B = noise (2 seeds)", "over 2 comparisons", "of one seed", "table: compare.csv"):
        assert words in printed
    assert printed.splitlines()[-1].startswith("next: cfbench compare")
    expected = compare(group_runs(folders), metrics=["l1", "fd"])
    pd.testing.assert_frame_equal(pd.read_csv("compare.csv"), expected.replace("", np.nan), check_dtype=False)
    assert [path.name for path in tmp_path.iterdir()] == ["compare.csv"]


def test_runs_that_cannot_be_compared(
    runs: Runs, refused: Callable[..., str], edited: Callable[..., Path], tmp_path: Path
) -> None:
    assert "two or more run folders, got 1" in refused(runs["pgd"])
    assert "nowhere/run.json is missing" in refused(runs["pgd"], "nowhere")
    assert "hold the same run" in refused(runs["pgd"], runs["noise0"], runs["pgd"])
    assert "are seeds of one method, noise" in refused(runs["noise0"], runs["noise1"])
    error = refused(runs["pgd"], runs["validation"])
    assert str(runs["pgd"]) in error
    assert str(runs["validation"]) in error
    assert "targets is 'near' in the first, 'any' in the second" in error
    task = edited(runs["noise0"], lambda content: content["key"].update(task="other@v1"))
    assert "task is 'toy" in refused(runs["pgd"], task)
    split = edited(runs["noise0"], lambda content: content["key"].update(split_hash="0"))
    assert "split_hash is" in refused(runs["pgd"], split)

    moved = edited(runs["noise0"], lambda content: None)
    pd.read_parquet(moved / TABLE).assign(query_id=lambda t: "x" + t["query_id"]).to_parquet(moved / TABLE)
    assert "pgd and noise share no query" in refused(runs["pgd"], moved)


def test_damaged_records_and_tables(runs: Runs, refused: Callable[..., str], edited: Callable[..., Path]) -> None:
    broken = edited(runs["noise0"], lambda content: content.pop("cost"))
    assert "run.json is not a record of schema 1" in refused(runs["pgd"], broken)
    for name, damage, words in (
        ("absent", lambda path: path.unlink(), "queries.parquet is missing"),
        ("cut", lambda path: path.write_bytes(path.read_bytes()[:-50]), "queries.parquet is damaged"),
        (
            "rows",
            lambda path: pd.read_parquet(path).head(5).to_parquet(path),
            "5 queries in 5 rows, its record says 60",
        ),
        ("column", lambda path: pd.read_parquet(path).drop(columns="target").to_parquet(path), "no column 'target'"),
    ):
        copy = edited(runs["noise0"], lambda content: None)
        damage(copy / TABLE)
        error = refused(runs["pgd"], copy)
        assert words in error, name
        assert "cfbench score" in error, name


def test_metrics_that_cannot_be_compared(runs: Runs, refused: Callable[..., str], tmp_path: Path) -> None:
    both = runs["pgd"], runs["noise0"]
    assert "unknown metric 'fliprate'" in refused(*both, "--metrics", "fliprate")
    assert "nothing to compare" in refused(*both, "--metrics", "flip_rate", "--subset", "flipped")
    assert "cannot write" in refused(*both, "--metrics", "l1", "--out", tmp_path)
