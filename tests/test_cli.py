"""The command line as a user meets it: results, one-line errors, exit codes, nothing half-written."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from commands import exit_code
from PIL import Image

from cfbench.protocols import PROTOCOLS
from cfbench.registry import METRICS
from cfbench.task import Task

Command = Callable[..., subprocess.CompletedProcess[str]]


ADAPTERS = Path(__file__).parent / "adapters"


def assert_refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """One line on stderr that says what was wrong, and exit code 2."""
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.strip() and "━" not in line]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]


def test_help_is_light() -> None:
    code = (
        "import sys; sys.argv = ['cfbench', '--help']\n"
        "from cfbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in (
        "list",
        "prepare",
        "evaluate",
        "explain",
        "score",
        "compare",
        "study",
        "new",
        "check",
        "submit",
        "leaderboard",
        "doctor",
    ):
        assert command in done.stdout


def test_importing_the_package_is_light() -> None:
    code = "import sys, cfbench; assert not {'torch', 'numpy', 'pandas', 'typer'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"cfbench {importlib.metadata.version('cfbench-vision')}\n"


def test_without_the_users_pictures_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CFBENCH_CACHE", str(tmp_path / "cache"))
    assert exit_code("evaluate", "--method", "pgd", "--task", "ham10000", "--out", tmp_path / "runs") == 2
    assert "then run: cfbench prepare ham10000 --data DIR" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_list_names_everything_and_explains_one(cfbench: Command) -> None:
    listed = cfbench("list").stdout
    for name in ("nearest-unlike", "fashion-mnist", "oracle_agreed_flip"):
        assert name in listed
    assert "arXiv 1711.00399" in cfbench("list", "methods", "wachter").stdout
    assert "Fooled by" in cfbench("list", "metrics", "flip_rate").stdout
    assert "MIT" in cfbench("list", "tasks", "fashion-mnist").stdout


def test_list_metrics_names_each_with_its_first_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("list", "metrics") == 0
    shown = capsys.readouterr().out
    listed = {line.split()[0] for line in shown.splitlines() if line.strip()}
    assert set(METRICS.names()) <= listed
    for name in METRICS.names():
        assert METRICS.load(name).explanation().splitlines()[0].replace("``", "")[:30] in shown
    assert shown.splitlines()[-1].startswith("next: cfbench list metrics NAME")


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (
            "flip_rate",
            [
                "family: validity",
                "better: higher",
                "bounds: 0.0 to 1.0",
                "needs: a classifier or its predictions",
                "Fooled by",
            ],
        ),
        ("fd", ["family: realism", "better: lower", "bounds: 0.0 to inf", "fewest queries: ten a feature"]),
        ("boundary_gain", ["fewest queries: 50", "scored on: all", "arXiv 2109.14274", "--protocol boundary"]),
        ("corruption_similarity", ["unit: SSIM", "needs: runs of the protocol corruption", "arXiv 1903.12261"]),
    ],
)
def test_list_metrics_explains_one(name: str, facts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("list", "metrics", name) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(name)
    for fact in (*facts, "version: ", "next: cfbench evaluate"):
        assert fact in shown


def test_evaluate_with_protocols_shows_their_metrics_and_names_the_others(
    toy_key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ("evaluate", "--method", "noise", "--task", toy_key, "--limit", "20")
    assert exit_code(*common, "--protocol", "seeds", "--protocol", "composition") == 0
    shown = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:3] for line in shown.splitlines() if len(line.split()) > 2}
    [path] = tmp_path.rglob("run.json")
    record = json.loads(path.read_text())
    assert record["protocols"] == ["seeds", "composition"]
    for name in ("seed_variance", "composition"):
        assert rows[name] == ["↓", f"{record['scores'][name]['all']['value']:.3g}"]
    others = ", ".join(sorted(set(PROTOCOLS) - {"seeds", "composition"}))
    assert f"not run: protocols {others} (evaluate --protocol)" in shown
    assert exit_code(*common, "--protocol", "luck") == 2
    assert "luck" in capsys.readouterr().err


def test_evaluate_score_and_resume(cfbench: Command, toy_key: str, tmp_path: Path) -> None:
    done = cfbench("evaluate", "--method", "pgd", "--set", "epsilon=0.2", "--task", toy_key, "--targets", "any")
    assert done.returncode == 0, done.stderr
    assert "flip_rate" in done.stdout
    assert "next: " in done.stdout
    [record] = tmp_path.rglob("run.json")
    first = json.loads(record.read_text())
    assert first["key"]["parameters"]["epsilon"] == 0.2
    assert len(pd.read_parquet(record.parent / "queries.parquet")) == 60

    scored = cfbench("score", record.parent, "--task", toy_key)
    assert "the same, bit for bit" in scored.stdout, scored.stderr
    assert json.loads(record.read_text())["scores"] == first["scores"]

    again = cfbench("evaluate", "--method", "pgd", "--set", "epsilon=0.2", "--task", toy_key, "--targets", "any")
    assert again.returncode == 0
    assert json.loads(record.read_text())["cost"] == first["cost"]


def test_seeds_make_a_run_each(cfbench: Command, toy_key: str, tmp_path: Path) -> None:
    done = cfbench("evaluate", "--method", "noise", "--task", toy_key, "--seeds", "2", "--limit", "5")
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("run.json")]
    assert {record["key"]["seed"] for record in records} == {0, 1}
    assert len({record["provenance"]["images"] for record in records}) == 2


def test_explain_a_file_and_a_query(cfbench: Command, toy_key: str, task: Task, tmp_path: Path) -> None:
    left = int((task.sources == 0).nonzero()[0])
    Image.fromarray(task.stored[left, 0].numpy()).save(tmp_path / "left.png")
    common = ("explain", "--method", "nearest-unlike", "--task", toy_key)
    done = cfbench(*common, "--image", "left.png", "--target", "right", "--out", "seen.png")
    assert done.returncode == 0, done.stderr
    assert "flipped: left -> right" in done.stdout
    with Image.open(tmp_path / "seen.png") as picture:
        assert picture.width > 2 * picture.height
    assert cfbench(*common, "--query", "test-00000").returncode == 0
    assert (tmp_path / "explanation.png").is_file()


def test_failed_queries_give_exit_code_3_and_a_record(cfbench: Command, toy_key: str, tmp_path: Path) -> None:
    done = cfbench("evaluate", "--method", f"{ADAPTERS}/bad.py:SometimesRaises", "--task", toy_key)
    assert done.returncode == 3
    assert "queries failed and count as not flipped" in done.stderr
    assert "ValueError: too dark" in done.stderr
    assert list(tmp_path.rglob("run.json"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "--method", "watcher"], ["unknown method 'watcher'", "did you mean 'wachter'", "cfbench list"]),
        (["evaluate", "--method", "pgd", "--task", "fashion"], ["unknown task 'fashion'", "fashion-mnist"]),
        (["evaluate", "--method", "pgd", "--set", "epsilon"], ["'epsilon' is not of the form name=value"]),
        (["evaluate", "--method", "pgd", "--set", "epsilon=x"], ["parameter epsilon", "valid number"]),
        (["evaluate", "--method", "pgd", "--device", "abacus"], ["device 'abacus'", "--device cpu"]),
        (["list", "metrics", "fliprate"], ["unknown metric 'fliprate'", "flip_rate"]),
        (["score", "nowhere"], ["nowhere is not a run folder"]),
        (["study", "none.toml"], ["none.toml is missing", "TOML file of a study"]),
        (["prepare", "--only", "oracle-2"], ["--only goes with --train"]),
        (["prepare", "--train", "--only", "oracle-9"], ["unknown network 'oracle-9'", "oracle-2"]),
        (["explain", "--method", "pgd"], ["give either --image FILE or --query ID"]),
        (["explain", "--method", "pgd", "--query", "test-99999"], ["unknown query 'test-99999'", "test-00000"]),
        (["explain", "--method", "pgd", "--image", "none.png"], ["none.png is missing"]),
        (["explain", "--method", "pgd", "--query", "test-00000", "--target", "10"], ["10 is not a class", "0 to 9"]),
        (["explain", "--method", "pgd", "--query", "test-00000", "--target", "-1"], ["-1 is not a class", "0 to 9"]),
        (
            ["explain", "--method", "pgd", "--query", "test-00000", "--target", "hat"],
            ["'hat' is not a class", "trouser"],
        ),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], words: list[str], cfbench: Command, tmp_path: Path) -> None:
    assert_refused(cfbench(*arguments), *words)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_target_equal_to_the_source_is_refused(cfbench: Command, toy_key: str, tmp_path: Path) -> None:
    refused = cfbench("explain", "--method", "pgd", "--task", toy_key, "--query", "test-00000", "--target", "left")
    others = cfbench("explain", "--method", "pgd", "--task", toy_key, "--query", "test-00000", "--target", "right")
    assert_refused(refused, "target 0 equals the source class")
    assert others.returncode == 0


def test_an_image_that_is_not_one(cfbench: Command, tmp_path: Path) -> None:
    (tmp_path / "fake.png").write_text("hello")
    assert_refused(cfbench("explain", "--method", "pgd", "--image", "fake.png"), "fake.png is not a readable picture")
    assert not (tmp_path / "explanation.png").exists()


@pytest.mark.parametrize("name", ["WrongShape", "ChangesWeights", "NeverFinite", "TorchRandom"])
def test_a_broken_adapter_is_one_line(name: str, cfbench: Command, toy_key: str, tmp_path: Path) -> None:
    assert_refused(cfbench("evaluate", "--method", f"{ADAPTERS}/bad.py:{name}", "--task", toy_key), "method ")
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: data[:-1] + b"x"], ids=["cut", "changed"])
def test_a_damaged_weight_file_is_named_with_its_hash(
    damage: object, cfbench: Command, toy_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(toy_folder, copy)
    weights = copy / "networks" / "oracle-1.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))  # type: ignore[operator]
    manifest = json.loads((copy / "manifest.json").read_text())
    expected = manifest["networks"]["oracle-1"]["sha256"]
    refused = cfbench("evaluate", "--method", "identity", "--task", f"{copy}/toy_task.py:Toy", "--out", tmp_path / "r")
    assert_refused(refused, "oracle-1.safetensors is corrupt or truncated", f"expected {expected}")
    assert_refused(cfbench("prepare", f"{copy}/toy_task.py:Toy"), "oracle-1.safetensors", expected)


def test_a_run_folder_of_other_parameters(cfbench: Command, toy_key: str, tmp_path: Path) -> None:
    command = ("evaluate", "--method", "pgd", "--task", toy_key, "--limit", "5", "--set")
    assert cfbench(*command, "steps=2").returncode == 0
    [first] = tmp_path.rglob("key.json")
    assert cfbench(*command, "steps=3").returncode == 0
    [second] = set(tmp_path.rglob("key.json")) - {first}
    second.write_bytes(first.read_bytes())
    assert_refused(cfbench(*command, "steps=3"), "holds a run with parameters", "'steps': 2", "choose another --out")


def test_a_folder_that_cannot_be_written(cfbench: Command, toy_key: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused = cfbench("evaluate", "--method", "identity", "--task", toy_key, "--out", "file")
    assert_refused(refused, "cannot write", "--out")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file size limit of the system")
def test_a_full_disk(cfbench: Command, toy_key: str, tmp_path: Path) -> None:
    import resource

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    refused = cfbench("evaluate", "--method", "noise", "--task", toy_key, preexec_fn=fill)
    assert_refused(refused, "cannot write", "File too large")
    assert not list(tmp_path.rglob("*.npz"))
    assert not list(tmp_path.rglob(".tmp-*"))
    assert cfbench("evaluate", "--method", "noise", "--task", toy_key).returncode == 0


def test_doctor_says_what_cannot_be_computed(cfbench: Command) -> None:
    done = cfbench("doctor")
    assert done.returncode == 0, done.stderr
    assert "task fashion-mnist@v1: " in done.stdout
    for metric in ("lpips", "fid"):
        assert re.search(rf"cannot compute [^:]*\b{metric}\b[^:]*: ", done.stdout)


def test_prepare_verifies_and_rebuilds(cfbench: Command, toy_key: str, tmp_path: Path) -> None:
    assert "all files verified" in cfbench("prepare", toy_key).stdout
    done = cfbench("prepare", toy_key, "--train", "--only", "oracle-2", "--out", "rebuilt")
    assert done.returncode == 0, done.stderr
    assert "oracle-2: accuracy" in done.stdout
    assert "identical to the packaged network" in done.stdout
    assert (tmp_path / "rebuilt" / "networks" / "oracle-2.safetensors").is_file()
    splits = cfbench("prepare", toy_key, "--splits", "--out", "rebuilt").stdout
    assert splits.count("identical to the packaged file") == 8
