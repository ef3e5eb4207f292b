"""Challenges: what other oracles see in stored counterfactuals, against the run's own query table."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from bundles import forged, refusal
from commands import exit_code
from exported import FACTORIES
from scipy.stats import binomtest

from cfbench.record import TABLE, Record
from cfbench.testing import Toy


@pytest.fixture
def networks(toy_folder: Path, tmp_path: Path) -> Path:
    """Factories of the toy task's networks, as a stranger's file."""
    (tmp_path / "judge.py").write_text(FACTORIES.format(folder=str(toy_folder)))
    return tmp_path / "judge.py"


@pytest.fixture
def challenged(run: Path, bundle: Path, networks: Path, toy_key: str, tmp_path: Path) -> dict[str, object]:
    out = tmp_path / "challenge.json"
    common = ("--oracle", f"{networks}:classifier", "--task", toy_key, "--out", out)
    assert exit_code("leaderboard", "challenge", bundle, *common) == 0
    made = json.loads(out.read_text())
    assert exit_code("leaderboard", "challenge", run, *common) == 0
    assert json.loads(out.read_text()) == made
    return dict(made)


def test_a_challenger_s_agreement_is_that_of_the_query_table(challenged: dict, run: Path, toy: Toy) -> None:
    """The classifier itself as challenger agrees with every flip; the task's oracles as in the table."""
    table, record = pd.read_parquet(run / TABLE), Record.read(run)
    [own] = challenged["challengers"]
    flips = int(table["flipped"].sum())
    assert own["agreed_flip"]["value"] == own["agreement"]["value"] == flips / 60
    interval = binomtest(flips, 60).proportion_ci(method="wilson")
    assert own["agreement"]["ci95"] == pytest.approx([interval.low, interval.high])
    for index, oracle in enumerate(challenged["oracles"], start=1):
        seen = table[f"oracle-{index}_prediction"] == table["target"]
        assert oracle["oracle"].startswith(f"oracle-{index}@")
        assert oracle["agreement"]["value"] == pytest.approx(seen.mean())
        assert oracle["agreed_flip"]["value"] == pytest.approx((seen & table["flipped"]).mean())
    assert challenged["record"]["oracle_agreed_flip"]["value"] == record.scores["oracle_agreed_flip"]["all"].value
    gap = flips / 60 - record.scores["oracle_agreed_flip"]["all"].value
    assert challenged["difference"]["value"] == pytest.approx(gap)
    assert challenged["digest"] == record.key.digest
    reference = toy.split("reference")
    assert own["accuracy"]["n"] == len(reference)
    assert own["accuracy"]["value"] > 0.9


def test_several_challengers_are_named_apart(run: Path, networks: Path, toy_key: str, tmp_path: Path) -> None:
    specs = ("--oracle", f"{networks}:oracles", "--oracle", f"{networks}:classifier")
    out = tmp_path / "challenge.json"
    assert exit_code("leaderboard", "challenge", run, *specs, "--task", toy_key, "--out", out) == 0
    made = json.loads(out.read_text())
    assert len({each["oracle"] for each in made["challengers"]}) == 3


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("four_classes", "gives 4 logits; toy@v1 has 3 classes, in the order left, middle, right"),
        ("one_logit", "expected logits"),
        ("colour", "fails on images"),
        ("a_number", "expected a torch.nn.Module"),
        ("absent", "has no function absent"),
    ],
)
def test_oracles_that_do_not_fit_are_refused(
    factory: str,
    said: str,
    run: Path,
    networks: Path,
    toy_key: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "challenge.json"
    arguments = (run, "--oracle", f"{networks}:{factory}", "--task", toy_key, "--out", out)
    assert exit_code("leaderboard", "challenge", *arguments) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_forged_bundle_is_not_challenged(
    bundle: Path, networks: Path, toy: Toy, toy_key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = forged(bundle, tmp_path / "odd.zip", lambda members: members.pop(sorted(members)[-2]))
    refusal(made, toy)
    assert exit_code("leaderboard", "challenge", made, "--oracle", f"{networks}:classifier", "--task", toy_key) == 2
    assert "error: " in capsys.readouterr().err
