"""The training loop: players in turn, averaged weights, and going on from a checkpoint as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from commands import exit_code
from safetensors.torch import load_file
from torch import Tensor, nn

from cfbench.dataset import Images, Networks
from cfbench.errors import CorruptFile, InvalidParameter, RunMismatch
from cfbench.preparation import train_network
from cfbench.session import Session
from cfbench.testing import Toy
from cfbench.testing.toy import render
from cfbench.training import ClassifierRecipe
from cfbench.training_loop import Player, fit, play

BLANK = Images(torch.zeros(40, 1, 2, 2, dtype=torch.uint8), torch.zeros(40, dtype=torch.int64))


class Number(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor([value]))


def test_players_in_turn_step_as_optimisers_written_out_do() -> None:
    """The saddle of x^2 / 2 + 2 x y - y^2 / 2: one player descends in x, the other ascends in y."""

    def saddle(x: Tensor, y: Tensor) -> Tensor:
        return (x.square() / 2 + 2 * x * y - y.square() / 2).sum()

    low, high = Number(1.0), Number(-0.5)
    players = [
        Player("low", low, lambda images, labels: saddle(low.value, high.value), 0.05, betas=(0.0, 0.9)),
        Player("high", high, lambda images, labels: -saddle(low.value, high.value), 0.02, decay=0.1),
    ]
    play(low, BLANK, players, epochs=50, batch=10, generator=torch.Generator(), session=Session())

    x, y = torch.tensor([1.0], requires_grad=True), torch.tensor([-0.5], requires_grad=True)
    first = torch.optim.AdamW([x], lr=0.05, betas=(0.0, 0.9), weight_decay=0.0)
    second = torch.optim.AdamW([y], lr=0.02, weight_decay=0.1)
    for _ in range(200):
        for optimiser, weight, sign in ((first, x, 1), (second, y, -1)):
            optimiser.zero_grad()
            (weight.grad,) = torch.autograd.grad(sign * saddle(x, y), weight)
            optimiser.step()
    assert torch.equal(low.value, x)
    assert torch.equal(high.value, y)
    assert low.value.requires_grad
    assert high.value.requires_grad


def test_the_average_follows_its_recursion() -> None:
    """Under a constant gradient Adam moves by its rate a step, whatever its moments."""
    number = Number(2.0)
    player = Player("loss", number, lambda images, labels: number.value.sum(), 0.01)
    play(number, BLANK, [player], epochs=10, batch=10, generator=torch.Generator(), session=Session(), average=0.9)
    average = 2.0
    for step in range(1, 41):
        decay = min(0.9, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * (2.0 - 0.01 * step)
    assert number.value.item() == pytest.approx(average, rel=1e-5)


def test_no_images_are_named_and_few_make_a_small_batch() -> None:
    number = Number(1.0)
    options = {"epochs": 1, "batch": 64, "rate": 0.1, "decay": 0.0, "generator": torch.Generator()}
    fit(number, BLANK, lambda images, labels: number.value.sum() * len(images) / 40, session=Session(), **options)
    assert number.value.item() < 1
    with pytest.raises(InvalidParameter, match="no images to train on"):
        fit(number, Images(BLANK.images[:0], BLANK.labels[:0]), nn.Module(), session=Session(), **options)


def test_parts_share_the_bar_and_notes_stand_beside_the_loss() -> None:
    told: list[tuple[float, str]] = []
    session = Session(lambda share, text: told.append((share, text)))
    second = session.part(0.5, 1.0)
    second.note(accuracy=0.25)
    second.note(accuracy=0.25)
    session.part(0.0, 0.5).progress(1.0, "first")
    second.progress(0.5, "second")
    assert told == [(0.5, "first"), (0.75, "second, accuracy 0.250")]


class Killed(Exception):
    pass


class Adversarial:
    """Two stages: a network with dropout and batch statistics, then two players with an average."""

    steps_left: ClassVar[float] = float("inf")

    def __init__(self, rate: float = 1e-2) -> None:
        self.rate = rate

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        generator = torch.Generator().manual_seed(seed)
        critic = nn.Sequential(nn.Flatten(), nn.Linear(144, 1))

        def classify(images: Tensor, labels: Tensor) -> Tensor:
            self._live()
            noisy = images + 0.1 * torch.randn(images.shape, generator=generator)
            return F.cross_entropy(network(F.dropout(noisy, 0.2)), labels)

        def judge(images: Tensor, labels: Tensor) -> Tensor:
            return F.softplus(-critic(images)).mean() + F.softplus(critic(1 - images)).mean()

        def convince(images: Tensor, labels: Tensor) -> Tensor:
            weight = critic(images).detach().sigmoid()[:, 0]
            return (weight * F.cross_entropy(network(F.dropout(images)), labels, reduction="none")).mean() + classify(
                images, labels
            )

        shared = {"epochs": 2, "batch": 50, "generator": generator}
        fit(network, data, classify, rate=self.rate, decay=0.02, session=session.part(0.0, 0.5), **shared)
        players = [
            Player("critic", critic, judge, 1e-2, betas=(0.5, 0.99)),
            Player("network", network, convince, 1e-3, cycle=True),
        ]
        play(network, data, players, session=session.part(0.5, 1.0), average=0.9, **shared)

    def _live(self) -> None:
        Adversarial.steps_left -= 1
        if Adversarial.steps_left < 0:
            raise Killed

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        return {}


def toy_with(recipe: object, folder: Path) -> Toy:
    class Own(Toy):
        networks = {"classifier": replace(Toy.networks["classifier"], recipe=recipe)}

    return Own(folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Hash of the weights that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    return train_network(toy_with(Adversarial(), folder), "classifier", Toy().raw(None), folder).sha256


def die_after(steps: int, folder: Path, *, seconds: float) -> None:
    """Interrupt a training of the toy's classifier."""
    with mock.patch.object(Adversarial, "steps_left", steps), pytest.raises(Killed):
        train_network(toy_with(Adversarial(), folder), "classifier", Toy().raw(None), folder, seconds=seconds)


@pytest.mark.parametrize("steps", [3, 12, 17, 24, 30, 47])
def test_an_interrupted_training_goes_on_bit_for_bit(steps: int, undisturbed: str, tmp_path: Path) -> None:
    """24 steps in either stage, 12 an epoch; a checkpoint at every step, or only at the end of each epoch."""
    die_after(steps, tmp_path, seconds=0.0 if steps % 2 else 60.0)
    torch.rand(3)
    toy = toy_with(Adversarial(), tmp_path)
    assert train_network(toy, "classifier", Toy().raw(None), tmp_path, resume=True).sha256 == undisturbed
    assert not list((tmp_path / "checkpoints").iterdir())


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A folder with the checkpoint of an interrupted training."""
    die_after(5, tmp_path / "out", seconds=0.0)
    return tmp_path / "out"


def test_a_checkpoint_of_something_else_is_refused(killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = Toy().raw(None)
    same = toy_with(Adversarial(), killed)
    with pytest.raises(RunMismatch, match=r"with another data; go on with the one .* or train anew without --resume"):
        train_network(same, "classifier", replace(raw, train=render(600, 9)), killed, resume=True)
    recipe = ClassifierRecipe(epochs=3, batch=50)
    with pytest.raises(RunMismatch, match="with another recipe"):
        train_network(toy_with(recipe, killed), "classifier", raw, killed, resume=True)
    with monkeypatch.context() as patched:
        patched.setattr(torch, "__version__", "2.99.0")
        with pytest.raises(RunMismatch, match="with another recipe and another torch version"):
            train_network(toy_with(Adversarial(rate=0.1), killed), "classifier", raw, killed, resume=True)
    [checkpoint] = (killed / "checkpoints").iterdir()
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(CorruptFile, match=r"is not a checkpoint .* train anew without --resume"):
        train_network(toy_with(recipe, killed), "classifier", raw, killed, resume=True)


TASK = """
from dataclasses import replace
from cfbench.testing.toy import Toy

class Long(Toy):
    name = "long"
    networks = Toy.networks | {"classifier": replace(
        Toy.networks["classifier"], recipe=replace(Toy.networks["classifier"].recipe, epochs=20)
    )}
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
def test_killed_by_the_system_and_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "long.py").write_text(TASK)
    monkeypatch.chdir(tmp_path)
    common = ["prepare", f"{tmp_path / 'long.py'}:Long", "--train", "--only", "classifier"]
    arguments = [*common, "--checkpoint-seconds", "0.05", "--out", "killed"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cfbench.cli", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    checkpoint = tmp_path / "killed" / "checkpoints" / "classifier.1.safetensors"
    deadline = time.monotonic() + 120
    while not checkpoint.is_file():
        assert process.poll() is None, "ended before it was killed"
        assert time.monotonic() < deadline, "no checkpoint"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "manifest.json").exists()
    step = load_file(checkpoint)["/training/sides/0/optimiser/state/0/step"]
    assert 0 < step < 20 * 12

    assert exit_code(*arguments, "--resume") == 0
    assert "classifier: there is a checkpoint in killed: going on from it" in capsys.readouterr().out
    assert exit_code(*common, "--out", "whole") == 0
    file = "networks/classifier.safetensors"
    assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()

    changed = (tmp_path / "killed" / file).stat().st_mtime_ns
    assert exit_code(*arguments, "--resume") == 0
    assert (tmp_path / "killed" / file).stat().st_mtime_ns == changed, "a finished network was trained again"


def test_stopped_by_hand_it_says_how_to_go_on(
    toy_key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cfbench.training.fit", stop)
    assert exit_code("prepare", toy_key, "--train", "--out", str(tmp_path)) == 130
    assert "goes on (--train with --resume)" in capsys.readouterr().err


def test_starting_anew_beside_a_checkpoint_is_said(
    killed: Path, toy_key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("prepare", toy_key, "--train", "--only", "classifier", "--out", str(killed)) == 0
    assert "starting anew; --resume would go on from it" in capsys.readouterr().out
    assert not list((killed / "checkpoints").iterdir())
    assert exit_code("prepare", toy_key, "--resume") == 2
    assert "--resume goes with --train" in capsys.readouterr().err
