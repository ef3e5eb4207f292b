"""``cfbench report`` as a user runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import exit_code
from published import NETWORKS, board_folder, shares, write_entry
from reported import BOARD, SETTINGS, N, Run, add_scores, corrupted, write_board

from cfbench.board.boards import Board, boards_of
from cfbench.board.entries import read_entries
from cfbench.board.rules import Rules

DRAWN = {"overview", "metrics", "ranks", "gap", "pareto", "cost", "classes", "ablation-mine"}
SUFFIXES = (".pdf", ".png", ".csv", ".txt")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = board_folder(tmp_path_factory.mktemp("board"))
    write_board(records)
    return records


@pytest.fixture(scope="module")
def out(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the whole board."""
    out = tmp_path_factory.mktemp("report")
    assert exit_code("report", records, "--out", out) == 0
    return out


@pytest.fixture(scope="module")
def board(records: Path) -> Board:
    [board] = boards_of(read_entries(records), Rules.beside(records))
    return board


def read(out: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(out / BOARD / f"{name}.csv")


def test_every_figure_has_four_files(out: Path) -> None:
    files = {path.name for path in (out / BOARD).iterdir()}
    assert files == {f"{name}{suffix}" for name in DRAWN for suffix in SUFFIXES} | {"table.md", "table.tex"}
    assert {path.name for path in out.iterdir()} == {BOARD, "report.md", "report.html"}
    for name in DRAWN:
        assert (out / BOARD / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (out / BOARD / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"{N} test queries" in (out / BOARD / f"{name}.txt").read_text(encoding="utf-8")


def test_data_are_the_scores_of_the_board(out: Path, board: Board) -> None:
    """Of rows of several seeds too, which the board pools."""
    data = read(out, "overview").set_index(["row", "metric"])
    assert {row for row, _ in data.index} == {row.label for row in board.rows}
    for row in board.rows:
        for metric, score in row.scores.items():
            if (row.label, metric) in data.index:
                line = data.loc[row.label, metric]
                assert line["value"] == score.value
                assert (line["n"], line["status"], line["seeds"]) == (score.n, row.status, len(row.entries))
                assert np.isnan(line["low"]) if score.ci95 is None else (line["low"], line["high"]) == score.ci95
    assert data.loc["seeded", "closeness"]["value"] == pytest.approx(np.mean([shares(N, 0.8, s) for s in range(3)]) / 2)


def test_ranks_and_front_are_those_of_the_board(out: Path, board: Board) -> None:
    ranked = {row.label: row for row in board.rows if row.rank}
    ranks = read(out, "ranks").set_index("row")
    assert {label: (line.rank_best, line.rank_worst) for label, line in ranks.iterrows()} == {
        label: row.rank for label, row in ranked.items()
    }
    front = read(out, "pareto")
    assert set(front[front["front_of_board"]]["row"]) == {label for label, row in ranked.items() if row.pareto}


def test_gap_is_flip_rate_less_agreement(out: Path) -> None:
    gap = read(out, "gap").groupby("row")["gap"].first()
    assert gap["weak"] == pytest.approx(1 - shares(N, 0.6, 7).mean())
    assert "half" not in gap, "it has no flip rate"
    assert "Left out, not scored: half." in (out / BOARD / "gap.txt").read_text(encoding="utf-8")


def test_classes_are_means_of_the_query_table(out: Path, board: Board) -> None:
    [row] = [row for row in board.rows if row.label == "weak"]
    table = row.entries[0].table.reset_index()
    data = read(out, "classes")
    weak = data[data["row"] == "weak"].set_index(["source", "target"])
    for (source, target), cell in table.groupby(["source", "target"])["oracle_agreed_flip"]:
        assert weak.loc[(source, target), "value"] == pytest.approx(cell.astype(float).mean())
        assert weak.loc[(source, target), "n"] == len(cell)
    assert "half" not in set(data["row"])
    assert set(data[data["row"] == "seeded"]["n"]) == set(weak["n"]), "queries, whatever the seeds"


def test_ablation_has_the_rows_that_differ_in_one_parameter(out: Path) -> None:
    data = read(out, "ablation-mine")
    assert set(data["row"]) == {f"mine steps={steps}" for steps in SETTINGS}
    assert "nothing else" in (out / BOARD / "ablation-mine.txt").read_text(encoding="utf-8")


def test_captions_name_references_and_partial_runs(out: Path) -> None:
    caption = (out / BOARD / "overview.txt").read_text(encoding="utf-8")
    assert "partial runs (half 50 of 100)" in caption
    assert "references" in caption
    assert "Left out, not ranked: weak, nearest-unlike, pgd, half." in (out / BOARD / "ranks.txt").read_text()


def test_tables(out: Path) -> None:
    """By status and rank; bold are the rows that no other beats beyond chance."""
    latex = (out / BOARD / "table.tex").read_text(encoding="utf-8")
    lines = [line.strip() for line in latex.splitlines()]
    [best] = [line for line in lines if " & seeded & " in line]
    assert best.startswith("1--2 & seeded & \\textbf{0.")
    assert [line for line in lines if "\\textbf" in line and not line.startswith("1")] == []
    assert lines.index("\\multicolumn{8}{l}{\\emph{references, not ranked}} \\\\") < lines.index("\\bottomrule")
    assert {line.count("&") for line in lines if line.endswith("\\\\") and "multicolumn" not in line} == {7}
    markdown = (out / BOARD / "table.md").read_text(encoding="utf-8").splitlines()
    assert len(markdown) == 2 + 8
    assert {line.count(" | ") for line in markdown} == {7}
    assert "| *partial runs* | half (50 of 100) |" in markdown[-1]


def test_what_is_printed_ends_with_what_can_be_done(records: Path, run: Run, tmp_path: Path) -> None:
    lines = run(records, "--out", tmp_path / "report").splitlines()
    assert lines[0] == f"{BOARD}: 8 rows, 8 figures"
    assert "  left out, Corruption curves: no record was made with --protocol corruption" in lines
    assert "  left out, Contact sheet: this release does not know the data set" in lines
    assert lines[-2].startswith(f"report: {tmp_path / 'report' / 'report.html'} (")
    assert lines[-2].endswith("from 10 records")
    assert lines[-1].startswith("next: open ")


def test_the_same_records_give_the_same_bytes(records: Path, out: Path, tmp_path: Path) -> None:
    """In another process, whose sets and dictionaries have another order of hashes."""
    command = [sys.executable, "-m", "cfbench.cli", "report", str(records), "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"PYTHONHASHSEED": "7"})
    first = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert first.keys() == again.keys()
    assert [str(path) for path in first if first[path] != again[path]] == []


def test_protocols_are_drawn_from_records_that_have_them(run: Run, tmp_path: Path) -> None:
    records = board_folder(tmp_path)
    write_entry(records, "pgd", shares(N, 0.2, 0))
    for seed in range(2):
        folder = write_entry(records, "mine", shares(N, 0.6, 1 + seed), key={"seed": seed})
        taught = {"queries": 0.5, "noise": 0.55, "pgd": 0.52, "counterfactuals": 0.6 + 0.1 * seed}
        add_scores(
            folder,
            {
                "corruption_flip_change": corrupted(-0.01 * (seed + 1)),
                "boundary_gain": {"value": 0.1 + 0.1 * seed, "ci95": [0.05, 0.25], "details": taught},
            },
        )
    out = tmp_path / "report"
    printed = run(records, "--out", out)
    assert "Corruption curves" not in printed
    corruption = read(out, "corruption")
    found = corruption[(corruption["corruption"] == "blur") & (corruption["severity"] == 4)]
    assert found["value"].tolist() == pytest.approx([-0.06]), "the mean over seeds"
    assert set(corruption["row"]) == {"mine"}
    boundary = read(out, "boundary").set_index("taught_with")["value"]
    assert boundary["counterfactuals"] == pytest.approx(0.65)
    assert boundary["gain"] == pytest.approx(0.15)
    shutil.rmtree(next((records / BOARD).glob("mine-seed1*")))
    shutil.rmtree(next((records / BOARD).glob("mine-seed0*")))
    assert "Corruption curves: no record was made" in run(records, "--out", out)
    assert [*(out / BOARD).glob("corruption.*")] == [], "what an earlier report had must not stay"


def test_no_records(refused: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = board_folder(tmp_path)
    out = tmp_path / "report"
    assert "publish one with: cfbench leaderboard add RUN" in refused(records, "--out", out)
    assert "nowhere is not there; give a folder of records" in refused(tmp_path / "nowhere", "--out", out)
    monkeypatch.chdir(tmp_path)
    assert "board.toml is missing" in refused("--out", out)
    assert not out.exists()


def test_one_method_and_missing_metrics(run: Run, tmp_path: Path) -> None:
    records = board_folder(tmp_path)
    write_entry(records, "mine", shares(N, 0.5, 0), seconds=None)
    printed = run(records, "--out", tmp_path / "report")
    assert "Rank intervals: no row is ranked: there is no complete run of pgd to compare with" in printed
    assert "Adversarial gap: no row has both flip_rate and oracle_agreement" in printed
    assert "Cost and quality: no row has both the headline and a known cost" in printed
    assert "Pareto fronts: no row has both" in printed
    assert {path.stem for path in (tmp_path / "report" / BOARD).glob("*.png")} == {"overview", "classes"}


def test_a_row_without_the_headline(run: Run, tmp_path: Path) -> None:
    records = board_folder(tmp_path)
    write_entry(records, "pgd", shares(N, 0.2, 0))
    folder = write_entry(records, "blank", shares(N, 0.5, 0))
    pd.read_parquet(folder / "queries.parquet").drop(columns="oracle_agreed_flip").to_parquet(
        folder / "queries.parquet"
    )
    add_scores(
        folder,
        {"oracle_agreed_flip": {"value": None, "reason": "no oracle", "network": NETWORKS["oracle_agreed_flip"]}},
    )
    run(records, "--out", tmp_path / "report")
    data = read(tmp_path / "report", "overview").set_index(["row", "metric"])
    assert np.isnan(data.loc["blank", "oracle_agreed_flip"]["value"])
    assert "blank" not in set(read(tmp_path / "report", "classes")["row"])


def test_an_unpublished_run_is_drawn_beside_the_records(run: Run, refused: Run, tmp_path: Path) -> None:
    """Runs and single runs can be given; a run that is given twice is refused."""
    records = board_folder(tmp_path)
    runs = tmp_path / "runs"
    assert exit_code("evaluate", "--method", "identity", "--limit", "20", "--out", runs) == 0
    [folder] = runs.glob("*/*")
    write_entry(records, "pgd", shares(N, 0.2, 0))
    printed = run(records, folder, "--out", tmp_path / "report")
    assert "fashion-mnist@v1-near: 1 row, " in printed
    assert BOARD in printed
    caption = (tmp_path / "report" / "fashion-mnist@v1-near" / "overview.txt").read_text(encoding="utf-8")
    assert "identity 20 of 1,000" in caption
    assert "hold the same run; give each run once" in refused(records, folder, runs, "--out", tmp_path / "report")
