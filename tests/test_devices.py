"""Nothing forgets where its images are: adapters, runs and scores on a device that is not the CPU, and on CUDA."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from commands import exit_code
from elsewhere import DEVICE, pretending
from rendered import Rendered
from torch import Tensor

from cfbench import Method, Needs
from cfbench.errors import MissingResource
from cfbench.harness import evaluate
from cfbench.record import Record, Score
from cfbench.registry import METHODS
from cfbench.seeds import QueryRandom, derive_seed
from cfbench.task import Task
from cfbench.testing import Toy
from cfbench.view import MethodView

QUERIES = 3

ELSEWHERE = {"foolbox": "eagerpy knows a tensor by its class, and these are of another"}
"""Adapters that cannot be run on tensors that only say that they lie elsewhere, and why."""

FLIPS = 0.02
"""Share of queries that may flip on one device alone: sums in another order move images at the boundary."""

LEVELS = 2.0
"""Mean difference of counterfactuals of two devices, in 8-bit levels, of methods that take few steps."""

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")


class Careless(Method):
    """Forgets the device."""

    name = "careless"
    family = "test"
    citation = "none"
    needs = Needs(gradients=True)

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        return (images + torch.zeros(images.shape)).clamp(0, 1)


def created(name: str) -> Method:
    kind = METHODS.load(name)
    try:
        made: Method = kind.create(kind.quick)
    except MissingResource as missing:
        pytest.skip(str(missing))
    return made


def explained(method: Method, task: Task) -> Tensor:
    """8-bit counterfactuals of the first queries."""
    method.setup(MethodView(task, method.needs), seed=0)
    seeds = [derive_seed(name) for name in task.queries["query_id"][:QUERIES]]
    outcome = method(task.images(slice(0, QUERIES)), task.targets[:QUERIES], seeds=seeds)
    assert not any(outcome.errors), outcome.errors
    return outcome.images


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CFBENCH_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", METHODS.names())
def test_adapters_give_the_same_images_elsewhere(name: str, toy_folder: Path) -> None:
    if name in ELSEWHERE:
        pytest.skip(ELSEWHERE[name])
    method = created(name)
    dataset = Rendered(toy_folder) if method.needs.truth else Toy(toy_folder)
    here = explained(created(name), Task(dataset))
    with pretending():
        away = explained(method, Task(dataset, device=DEVICE))
        assert away.device.type == DEVICE.type
        assert torch.equal(away.cpu(), here)


def test_an_adapter_that_forgets_the_device_is_found(toy: Toy) -> None:
    explained(Careless(), Task(toy))
    with pretending(), pytest.raises(RuntimeError, match="expected all tensors on one device"):
        explained(Careless(), Task(toy, device=DEVICE))


def test_random_numbers_are_the_same_elsewhere() -> None:
    here = QueryRandom([1, 2])
    with pretending():
        away = QueryRandom([1, 2], DEVICE)
        for draw in ("normal", "uniform"):
            made = getattr(away, draw)(3, 4)
            assert made.device.type == DEVICE.type
            assert torch.equal(made.cpu(), getattr(here, draw)(3, 4))


def scores_of(record: Record) -> dict[str, dict[str, Score]]:
    """All but what a run cost in time."""
    return {name: scores for name, scores in record.scores.items() if name != "seconds"}


def test_a_run_and_its_scores_are_the_same_elsewhere(toy_folder: Path, tmp_path: Path) -> None:
    """With every metric of the task and one protocol."""
    here, _ = evaluate(created("pgd"), Task(Rendered(toy_folder)), root=tmp_path / "here", protocols=["stability"])
    with pretending():
        task = Task(Rendered(toy_folder), device=DEVICE)
        away, _ = evaluate(created("pgd"), task, root=tmp_path / "away", protocols=["stability"])
    assert away.provenance.images == here.provenance.images
    assert scores_of(away) == scores_of(here)
    assert away.cost is not None
    assert away.cost.device == str(DEVICE)


def test_the_command_gives_the_same_bits_on_the_cpu(toy_key: str, tmp_path: Path) -> None:
    records = []
    for device in ("cpu", "cpu", "auto"):
        out = tmp_path / f"{device}-{len(records)}"
        command = ("evaluate", "--method", "disc", "--set", "steps=4", "--task", toy_key, "--limit", "12")
        assert exit_code(*command, "--device", device, "--out", out) == 0
        [path] = out.glob("*/*/run.json")
        records.append(Record.read(path.parent))
    first, again, chosen = records
    assert again.provenance.images == first.provenance.images
    assert scores_of(again) == scores_of(first)
    if not torch.accelerator.is_available():
        assert chosen.provenance.images == first.provenance.images


@cuda
@pytest.mark.parametrize("name", METHODS.names())
def test_adapters_give_nearly_the_same_images_on_cuda(name: str, toy_folder: Path) -> None:
    method = created(name)
    dataset = Rendered(toy_folder) if method.needs.truth else Toy(toy_folder)
    here = explained(created(name), Task(dataset))
    away = explained(method, Task(dataset, device="cuda"))
    assert float((away.cpu().float() - here.float()).abs().mean()) <= LEVELS


@cuda
def test_a_run_scores_nearly_the_same_on_cuda(toy_folder: Path, tmp_path: Path) -> None:
    here, away = (
        evaluate(created("pgd"), Task(Toy(toy_folder), device=device), root=tmp_path / device)[0]
        for device in ("cpu", "cuda")
    )
    rates = [record.scores["flip_rate"]["all"].value for record in (here, away)]
    assert rates[1] == pytest.approx(rates[0], abs=FLIPS)


@pytest.mark.parametrize("device", ["abacus", "meta", "cuda:99", ""])
def test_a_device_that_is_not_there_is_one_line(
    device: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    study = tmp_path / "small.toml"
    study.write_text(
        'title = "Small"\nmetrics = ["l1"]\n[[part]]\nname = "a"\ntasks = ["fashion-mnist"]\n'
        '[[part.row]]\nmethod = "identity"\n'
    )
    for command in (["evaluate", "--method", "pgd"], ["check", "pgd"], ["study", str(study)]):
        assert exit_code(*command, "--device", device) == 2
        said = capsys.readouterr().err.strip()
        assert said.count("\n") == 0
        assert f"device {device!r} cannot be used here" in said
        assert said.endswith("try --device cpu")
