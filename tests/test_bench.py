"""``cfbench bench``: what its ratios and operations count."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from commands import exit_code
from torch import nn

from cfbench.bench import method_speed, peak_gflops
from cfbench.other_tools import AGAIN, FIRST, frechet_contest, scoring_contest
from cfbench.registry import METHODS
from cfbench.task import Task

SLOW = f"{Path(__file__).parent / 'adapters' / 'slow.py'}:Slow"


def test_a_method_of_fixed_seconds_a_call_gains_its_batch(task: Task) -> None:
    """0.1 s a call, whether for one query or four."""
    speed = method_speed(METHODS.load(SLOW).create({"seconds": 0.1}), task, queries=50, rounds=2)
    assert speed.queries == 4
    assert speed.single == pytest.approx(10, rel=0.3)
    assert speed.ratios[0] == pytest.approx(4, rel=0.3)
    assert speed.gflop == 0


def test_operations_are_those_of_the_classifier(task: Task) -> None:
    """An attack of k steps computes k forward passes and the gradients by the image; counted layer by layer."""
    counted = []

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        match module:
            case nn.Conv2d():
                counted.append(2 * output.numel() * module.weight[0].numel())
            case nn.Linear():
                counted.append(2 * output.numel() * module.in_features)

    classifier = task.load(task.classifier)
    for module in classifier.modules():
        module.register_forward_hook(count)
    with torch.no_grad():
        classifier(task.images(slice(0, 1)))
    speeds = [method_speed(METHODS.load("pgd").create({"steps": k}), task, queries=3, rounds=1) for k in (2, 5)]
    step = (speeds[1].gflop - speeds[0].gflop) / 3
    assert step == pytest.approx(2 * sum(counted) / 1e9, rel=0.01)


def test_a_network_of_its_own_for_every_query_takes_as_many_operations_beside_others(task: Task) -> None:
    """Priors go through grouped convolutions, a group a query; without a limit reached, the work is the same."""
    settings = {"warmup": 2, "steps": 2, "confidence": 0.999999}
    speeds = [method_speed(METHODS.load("dip").create(settings), task, queries=n, rounds=1) for n in (2, 6)]
    assert speeds[1].gflop == pytest.approx(speeds[0].gflop, rel=0.02)


def test_the_peak_is_a_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the seconds, twice the speed."""
    monkeypatch.setattr("cfbench.bench.least_seconds", lambda call, rounds: 0.01)
    slow = peak_gflops()
    monkeypatch.setattr("cfbench.bench.least_seconds", lambda call, rounds: 0.005)
    assert peak_gflops() == pytest.approx(2 * slow)


def test_the_report_has_a_line_a_method_and_names_what_is_left_out(
    toy_key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--method", "noise", "--method", "truth", "--task", toy_key, "--queries", "2", "--rounds", "1"]
    assert exit_code("bench", *arguments, "--out", tmp_path / "speed.md") == 0
    shown = capsys.readouterr()
    assert "left out: truth" in shown.err
    text = (tmp_path / "speed.md").read_text()
    assert text in shown.out
    assert "| `noise` | 2 |" in text
    assert "`cfbench --help`" in text


def test_both_tools_give_the_same_frechet_distance() -> None:
    contest = frechet_contest(images=200, rounds=2, features=16)
    assert contest.values["cfbench"]["frechet"] == pytest.approx(contest.values["pytorch-fid"]["frechet"], rel=1e-8)
    assert {tool: len(seconds) for tool, seconds in contest.seconds.items()} == {"cfbench": 2, "pytorch-fid": 2}


@pytest.mark.slow
def test_other_tools_give_the_scores_of_one_pass(task: Task) -> None:
    """On the same random weights; structural similarity is left out, which torchmetrics averages over borders too."""
    values = scoring_contest(task, images=8, rounds=1).values
    ours = values[FIRST]
    assert values[AGAIN] == ours
    assert ours["fid"] == pytest.approx(values["pytorch-fid"]["fid"], rel=1e-3)
    assert ours["lpips"] == pytest.approx(values["lpips"]["lpips"], rel=1e-4)
    for name in ("l1", "flip_rate", "oracle_agreement"):
        assert ours[name] == pytest.approx(values["torchmetrics"][name], rel=1e-4, abs=1e-6)
