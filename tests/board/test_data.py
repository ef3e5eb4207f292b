"""What the page, the terminal and the reports get to see."""

from __future__ import annotations

import base64
import json
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from published import board_folder, shares, write_entry

from cfbench.board.data import leaderboard
from cfbench.board.publishing import gallery_png
from cfbench.board.rules import Rules
from cfbench.datasets.fashion_mnist import FashionMNIST
from cfbench.errors import CorruptFile, InvalidParameter, MissingResource, UnknownName
from cfbench.registry import METRICS

N = 100


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return board_folder(tmp_path)


@pytest.fixture
def data(records: Path) -> dict[str, Any]:
    """A board with an attack, a ranked method of three seeds, a submission and a partial run."""
    write_entry(records, "pgd", shares(N, 0.2, 0), values={"l1": np.full(N, 0.1)}, scores={"kd": 1 / 3})
    write_entry(records, "nearest-unlike", shares(N, 0.9, 1), values={"feat_dist": np.full(N, 2.0)})
    for seed in range(3):
        values = {"l1": np.full(N, 0.1 * (seed + 1)), "feat_dist": np.full(N, 0.5)}
        write_entry(records, "mine", shares(N, 0.6, seed), values=values, key={"seed": seed}, seconds=1.0 + seed)
    write_entry(records, "theirs", shares(N, 0.5, 5), submission={"verified": False, "author": "<b>A</b>"})
    write_entry(records, "quick", np.ones(50), expected=N)
    return leaderboard(records)


def row(data: dict[str, Any], method: str) -> dict[str, Any]:
    [found] = [each for each in data["rows"] if each["method"] == method]
    return found


def test_rows(data: dict[str, Any]) -> None:
    json.dumps(data, allow_nan=False)
    mine = row(data, "mine")
    assert (mine["status"], mine["rank"], mine["group"], mine["seeds"], mine["n"]) == ("ranked", [1, 1], 1, 3, N)
    assert mine["scores"]["l1"]["value"] == pytest.approx(0.2)
    assert mine["scores"]["oracle_agreed_flip"]["low"] < mine["scores"]["oracle_agreed_flip"]["value"]
    assert mine["cost"] == {
        "seconds": 2.0,
        "forwards": 4.0,
        "backwards": 2.0,
        "generated": 0.0,
        "setup_seconds": 0.0,
        "peak_mb": 100.0,
        "device": "cpu",
    }
    agreed = np.mean([shares(N, 0.6, seed) for seed in range(3)])
    assert mine["aggregate"]["value"] == pytest.approx(0.75 * agreed, rel=1e-5)
    assert row(data, "pgd")["scores"]["kd"] == {
        "value": 0.333333,
        "low": None,
        "high": None,
        "n": N,
        "version": 1,
        "network": "extractor@dddd pooled",
        "floor": None,
        "corrected": None,
        "reason": None,
    }
    assert len({each["id"] for each in data["rows"]}) == len(data["rows"])


def test_verified_and_submission(data: dict[str, Any]) -> None:
    assert {each["method"]: each["verified"] for each in data["rows"]} == {
        "mine": True,
        "theirs": False,
        "nearest-unlike": True,
        "pgd": True,
        "quick": True,
    }
    theirs = row(data, "theirs")["submission"]
    assert (theirs["author"], theirs["date"], row(data, "mine")["submission"]) == ("<b>A</b>", "2026-01-31", None)


def test_statuses_and_texts_name_what_they_are_about(data: dict[str, Any]) -> None:
    assert {each["status"] for each in data["rows"]} <= set(data["rules"]["statuses"])
    rules = data["rules"]
    texts = [*rules["statuses"].values(), rules["ranking"], rules["pareto_text"], rules["aggregate"]["definition"]]
    assert not [text for text in texts if "{" in text]
    assert "attack pgd" in rules["ranking"]
    assert "oracle-agreed flip, L1, KD, seconds a query" in rules["pareto_text"]
    assert "counterfactual of nearest-unlike" in rules["aggregate"]["definition"]


def test_metrics_come_from_their_classes(data: dict[str, Any]) -> None:
    assert [*data["metrics"]][:2] == ["oracle_agreed_flip", "flip_rate"]
    for name, shown in data["metrics"].items():
        metric = METRICS.load(name)
        assert (shown["direction"], shown["family"]) == (metric.direction, metric.family)
        assert shown["definition"]
    assert data["metrics"]["l1"] == {
        "label": "L1",
        "definition": "Mean absolute change over pixels and channels. Rewards small total change.",
        "how_fooled": "Fooled by doing nothing: read it beside the flip rate.",
        "direction": "lower",
        "unit": "pixel value in [0, 1]",
        "family": "proximity",
    }


def test_a_board_of_an_unknown_task(data: dict[str, Any]) -> None:
    [board] = data["tasks"]
    assert (board["id"], board["title"], board["n"], board["classes"]) == ("squares@v1-near", "squares@v1", N, [])
    assert board["image_shape"] is board["gallery"] is None
    assert board["judges"] == {"extractor": "dddd", **{f"oracle-{i}": 4 * "abc"[i - 1] for i in (1, 2, 3)}}
    assert all(each["task"] == board["id"] for each in data["rows"])


def decoded(url: str) -> np.ndarray:
    kind, _, text = url.partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(BytesIO(base64.b64decode(text))) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("split_hash", [FashionMNIST().split_hash, 64 * "2"])
def test_galleries_of_a_packaged_task(records: Path, split_hash: str) -> None:
    dataset = FashionMNIST()
    folder = write_entry(records, "mine", shares(1000, 0.5, 0), key={"task": dataset.key, "split_hash": split_hash})
    made = dataset.split("test").images[:8]
    (folder / "gallery.png").write_bytes(gallery_png(made))
    data = leaderboard(records)
    [board], [mine] = data["tasks"], data["rows"]
    assert (board["title"], board["image_shape"], len(board["classes"])) == (dataset.title, [1, 28, 28], 10)
    np.testing.assert_array_equal(decoded(mine["gallery"]), np.concatenate(made[:, 0].numpy(), axis=1))
    if split_hash != dataset.split_hash:
        assert board["gallery"] is None, "queries of another version of the split must not be shown"
        return
    places = [0, 142, 285, 428, 570, 713, 856, 999]
    table, images = dataset.table("test").iloc[places], dataset.split("test").images[places]
    gallery = board["gallery"]
    assert gallery["ids"] == table["image_id"].tolist()
    assert gallery["sources"] == table["source"].tolist()
    assert gallery["targets"] == table["near"].tolist()
    np.testing.assert_array_equal(decoded(gallery["queries"]), np.concatenate(images[:, 0].numpy(), axis=1))


def test_one_method_only(records: Path) -> None:
    write_entry(records, "mine", shares(N, 0.5, 0), seconds=None)
    data = leaderboard(records)
    [mine] = data["rows"]
    assert (mine["status"], mine["rank"], mine["aggregate"]) == ("unranked", None, None)
    assert set(mine["cost"].values()) == {None}


RULES = {
    "not TOML": ("title =", "is not a TOML file"),
    "unknown key": ("titel = 'x'\ntitle =", "titel"),
    "missing key": ("# title =", "title"),
    "wrong type": ("title = 3 #", "title"),
}


@pytest.mark.parametrize("fault", RULES)
def test_rules_that_cannot_be_read(records: Path, fault: str) -> None:
    line, message = RULES[fault]
    path = records.parent / "board.toml"
    path.write_text(
        path.read_text()
        .replace("title =", line, 1)
        .replace('title = "', "title = " if fault == "not TOML" else 'title = "')
    )
    with pytest.raises((CorruptFile, InvalidParameter), match=message):
        Rules.read(path)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ('gate = "pgd"', 'gate = "fgsm"', InvalidParameter, "'fgsm' is not among the references"),
        ('headline = "oracle_agreed_flip"', 'headline = "lvs"', InvalidParameter, "'lvs' is not among the metrics"),
        ('distance = "feat_dist"', 'distance = "l2"', InvalidParameter, "'l2' is needed a query; add it to columns"),
        ('"kd", "seconds"', '"kd", "minutes"', InvalidParameter, "'minutes' is not among the metrics"),
        ('flip_rate = "flip rate"', 'fliprate = "flip rate"', UnknownName, "unknown metric 'fliprate'"),
    ],
)
def test_rules_that_do_not_fit(records: Path, old: str, new: str, error: type[Exception], message: str) -> None:
    path = records.parent / "board.toml"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(error, match=message):
        Rules.read(path)


def test_without_rules(records: Path, tmp_path: Path) -> None:
    shutil.move(records, tmp_path / "elsewhere" / "records")
    with pytest.raises(MissingResource, match=r"board\.toml is missing"):
        leaderboard(tmp_path / "elsewhere" / "records")
