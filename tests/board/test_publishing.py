"""Publishing runs and reading entries back: what is kept, what is left out, what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from published import SUBMITTED, board_folder, shares, write_entry

from cfbench.board.card import Submission
from cfbench.board.entries import read_entries, read_entry
from cfbench.board.publishing import gallery_png, gallery_positions, publish
from cfbench.errors import CfbenchError, CorruptFile, InvalidParameter, MissingResource, RunMismatch, UnknownName
from cfbench.harness import evaluate
from cfbench.record import FILE, TABLE, Record
from cfbench.registry import DATASETS, METHODS
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.testing import Toy

COLUMNS = ("oracle_agreed_flip", "l1", "feat_dist", "fd")


@pytest.fixture(scope="module")
def run(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished attack on the toy task."""
    return evaluate(METHODS.load("pgd")(epsilon=0.2), Task(Toy(toy_folder)), root=tmp_path_factory.mktemp("runs"))[1]


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A copy of that run, to be damaged."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


@pytest.fixture(autouse=True)
def registered(toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy task as the task of an installed package."""
    monkeypatch.setattr(sys, "path", [str(toy_folder), *sys.path])
    monkeypatch.delitem(sys.modules, "toy_task", raising=False)
    monkeypatch.setitem(DATASETS.installed, "toy", EntryPoint("toy", "toy_task:Toy", "cfbench.datasets"))


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return board_folder(tmp_path)


def without_reasons(record: Record) -> Record:
    scores = {
        metric: {subset: score.model_copy(update={"reason": None}) for subset, score in subsets.items()}
        for metric, subsets in record.scores.items()
    }
    return record.model_copy(update={"scores": scores})


def test_an_entry_holds_the_record_and_the_columns_asked_for(run: Path, records: Path) -> None:
    place = publish(run, records, COLUMNS)
    assert place == records / "toy@v1-near" / run.name
    entry = read_entry(place)
    assert without_reasons(entry.record) == without_reasons(Record.read(run))
    assert (place / FILE).read_text().count("\n") == 1
    table, whole = pd.read_parquet(place / TABLE), pd.read_parquet(run / TABLE)
    assert [*table] == ["query_id", "source", "target", "flipped", "error", "oracle_agreed_flip", "l1", "feat_dist"]
    for name in ("query_id", "source", "target", "flipped", "error"):
        assert table[name].tolist() == whole[name].tolist()
    for name in COLUMNS[:3]:
        assert table[name].dtype == np.float32
        np.testing.assert_array_equal(table[name], whole[name].astype(np.float32))
    assert entry.submission is None
    assert not list(records.glob(".tmp*"))


def test_the_gallery_is_the_stored_pixels_of_fixed_queries(run: Path, records: Path) -> None:
    entry = read_entry(publish(run, records, COLUMNS))
    images = torch.cat([shard.images for shard in RunFolder(run).shards()]).numpy()
    assert entry.gallery is not None
    with Image.open(BytesIO(entry.gallery)) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (12, 8 * 12)
    for place, position in enumerate((0, 8, 16, 25, 33, 42, 50, 59)):
        np.testing.assert_array_equal(pixels[:, 12 * place : 12 * (place + 1)], images[position, 0])


def test_gallery_positions_and_colours() -> None:
    assert gallery_positions(8) == list(range(8))
    assert gallery_positions(1000)[-1] == 999
    assert gallery_positions(3) == [0, 1, 2]
    assert gallery_positions(1) == [0]
    assert len({position % 10 for position in gallery_positions(1000)}) >= 6, "classes come in turn: many are shown"
    images = torch.randint(0, 256, (3, 3, 5, 4), dtype=torch.uint8)
    with Image.open(BytesIO(gallery_png(images))) as picture:
        pixels = np.asarray(picture)
    np.testing.assert_array_equal(pixels, np.concatenate(images.permute(0, 2, 3, 1).numpy(), axis=1))


def test_pictures_that_may_not_be_published_are_not(run: Path, records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DATASETS.load("toy"), "shareable", False)
    entry = read_entry(publish(run, records, COLUMNS))
    assert entry.gallery is None
    assert not list(records.rglob("*.png"))


def test_a_partial_run_has_a_gallery_only_if_its_queries_were_explained(
    toy_folder: Path, records: Path, tmp_path: Path
) -> None:
    _, short = evaluate(METHODS.load("identity")(), Task(Toy(toy_folder)), root=tmp_path, limit=20)
    entry = read_entry(publish(short, records, COLUMNS))
    assert (entry.record.status, entry.gallery, len(entry.table)) == ("partial", None, 20)


def test_folders_of_this_machine_are_not_published(
    toy_folder: Path, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    bad = METHODS.load(f"{Path(__file__).parents[1]}/adapters/bad.py:SometimesRaises")
    _, made = evaluate(bad(), Task(Toy(toy_folder)), root=tmp_path)
    table = pd.read_parquet(made / TABLE)
    table.loc[0, "error"] = "OSError: cannot open '/home/somebody/net.pt' (/home/somebody/x)"
    table.to_parquet(made / TABLE)
    assert str(tmp_path) in (made / FILE).read_text()
    place = publish(made, records, COLUMNS)
    reasons = [
        score["reason"]
        for subsets in json.loads((place / FILE).read_text())["scores"].values()
        for score in subsets.values()
        if "reason" in score
    ]
    assert not [reason for reason in reasons if str(tmp_path) in reason]
    assert any(reason.startswith("vgg16-397923af.pth is missing; get it with: cfbench") for reason in reasons)
    errors = read_entry(place).table["error"]
    assert errors.iloc[0] == "OSError: cannot open 'net.pt' (x)"
    assert (errors != "").sum() == (table["error"] != "").sum()


def test_publishing_again_replaces_and_a_failure_changes_nothing(
    copied: Path, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = Submission.model_validate(SUBMITTED | {"verified": True})
    publish(copied, records, COLUMNS, submission)
    assert read_entries(records)[0].submission == submission
    place = publish(copied, records, COLUMNS)
    assert read_entries(records)[0].submission is None
    before = {path: path.read_bytes() for path in place.iterdir()}
    monkeypatch.setattr(pd.DataFrame, "to_parquet", lambda *arguments, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        publish(copied, records, COLUMNS)
    assert {path: path.read_bytes() for path in place.iterdir()} == before
    assert [path.name for path in records.iterdir()] == ["toy@v1-near"]


def test_validation_runs_and_reruns_are_refused(toy_folder: Path, records: Path, tmp_path: Path) -> None:
    _, tuning = evaluate(METHODS.load("identity")(), Task(Toy(toy_folder), split="validation"), root=tmp_path)
    with pytest.raises(InvalidParameter, match="validation queries; the board has runs on test queries"):
        publish(tuning, records, COLUMNS)
    task = Task(Toy(toy_folder))
    _, whole = evaluate(METHODS.load("identity")(), task, root=tmp_path, protocols=["composition"], limit=10)
    [rerun] = [path.parent for path in whole.rglob("key.json") if path.parent != whole]
    shutil.copy(whole / TABLE, rerun)
    content = json.loads((whole / FILE).read_text()) | {"key": json.loads((rerun / "key.json").read_text())}
    (rerun / FILE).write_text(json.dumps(content))
    with pytest.raises(InvalidParameter, match="rerun composition"):
        publish(rerun, records, COLUMNS)
    assert not list(records.iterdir())


def test_a_run_with_other_images_than_were_scored_is_refused(copied: Path, records: Path) -> None:
    shards = RunFolder(copied)
    first = next(shards.shards())
    first.images[0] = 255 - first.images[0]
    shards.write(first)
    with pytest.raises(RunMismatch, match="other images than it holds; score it again: cfbench score"):
        publish(copied, records, COLUMNS)


def test_what_is_no_run_for_the_board_is_refused(copied: Path, records: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match=r"run\.json is missing"):
        publish(tmp_path, records, COLUMNS)
    key = json.loads((copied / "key.json").read_text())
    (copied / "key.json").write_text(json.dumps(key | {"seed": 5}))
    with pytest.raises(RunMismatch, match="record of another run"):
        publish(copied, records, COLUMNS)
    (copied / "key.json").unlink()
    with pytest.raises(MissingResource, match="not a run folder"):
        publish(copied, records, COLUMNS)
    assert not list(records.iterdir())


@pytest.mark.parametrize("name", ["../mine", "a/b", "/mine", "../../../mine"])
def test_names_that_lead_elsewhere_are_refused(copied: Path, records: Path, name: str) -> None:
    key = json.loads((copied / "key.json").read_text()) | {"method": name}
    (copied / "key.json").write_text(json.dumps(key))
    (copied / FILE).write_text(json.dumps(json.loads((copied / FILE).read_text()) | {"key": key}))
    with pytest.raises(InvalidParameter, match="no folder in a folder"):
        publish(copied, records, COLUMNS)
    assert not list(records.iterdir())


def test_a_task_that_nobody_knows_is_refused(run: Path, records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(DATASETS.installed, "toy")
    with pytest.raises(UnknownName, match="unknown task 'toy'"):
        publish(run, records, COLUMNS)


def edit(change: Callable[[dict[str, object]], object]) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        content = json.loads((folder / FILE).read_text())
        change(content)
        (folder / FILE).write_text(json.dumps(content))

    return apply


def replace(old: str, new: str) -> Callable[[Path], object]:
    return lambda folder: (folder / FILE).write_text((folder / FILE).read_text().replace(old, new, 1))


AGAIN = "score its stored images again with the cfbench evaluate command that made the run"

DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "older schema": (replace('"schema_version": 1', '"schema_version": 0'), AGAIN),
    "duplicate key": (replace('"status":', '"status": "complete", "status":'), "status.* comes twice"),
    "NaN": (replace('"seconds_per_query": 1.0', '"seconds_per_query": NaN'), "NaN is no number of JSON"),
    "infinite": (replace('"seconds_per_query": 1.0', '"seconds_per_query": 1e999'), "too large"),
    "truncated": (lambda folder: (folder / FILE).write_bytes((folder / FILE).read_bytes()[:90]), "not valid JSON"),
    "UTF-16": (lambda folder: (folder / FILE).write_text((folder / FILE).read_text(), encoding="utf-16"), "not UTF-8"),
    "unknown field": (edit(lambda content: content.update(rank=1)), "rank: Extra inputs"),
    "edited score": (
        edit(lambda content: content["scores"]["l1"]["all"].update(value=0.01)),  # type: ignore[index]
        r"l1 is 0.01 over 20 queries in run.json and 0.5 over 20 in queries.parquet",
    ),
    "fewer queries scored": (edit(lambda content: content["scores"]["l1"]["all"].update(n=19)), "over 19 queries"),  # type: ignore[index]
    "other key": (edit(lambda content: content["key"].update(seed=3)), "another run than its name says"),  # type: ignore[attr-defined]
    "table of another run": (
        lambda folder: pd.read_parquet(folder / TABLE).head(9).to_parquet(folder / TABLE),
        "9 queries in 9 rows, its record says 20",
    ),
    "damaged table": (lambda folder: (folder / TABLE).write_bytes(b"PAR1"), "damaged"),
    "no table": (lambda folder: (folder / TABLE).unlink(), "missing"),
    "gallery of another kind": (lambda folder: (folder / "gallery.png").write_bytes(b"<svg/>"), "not a PNG file"),
    "huge gallery": (lambda folder: (folder / "gallery.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(2**20)), "bytes"),
    "card": (lambda folder: (folder / "submission.json").write_text('{"verified": true}'), "author is wrong"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_entries_are_refused_by_name(records: Path, damage: str) -> None:
    change, message = DAMAGE[damage]
    write_entry(records, "sound", shares(20, 0.5, 0))
    folder = write_entry(records, "damaged", shares(20, 0.5, 0), values={"l1": np.full(20, 0.5)})
    assert len(read_entries(records)) == 2
    change(folder)
    with pytest.raises(CfbenchError, match=message) as refused:
        read_entries(records)
    assert isinstance(refused.value, CorruptFile | MissingResource)
    assert str(folder) in str(refused.value)


def test_an_entry_in_the_folder_of_another_task_is_refused(records: Path) -> None:
    folder = write_entry(records, "mine", shares(20, 0.5, 0))
    moved = records / "circles@v1-near" / folder.name
    moved.parent.mkdir()
    folder.rename(moved)
    with pytest.raises(CorruptFile, match="its key belongs to squares@v1-near/mine"):
        read_entries(records)


def test_no_records(records: Path) -> None:
    with pytest.raises(MissingResource, match=r"no records below .*; publish one with: cfbench leaderboard add RUN"):
        read_entries(records)
    with pytest.raises(MissingResource, match="no records below"):
        read_entries(records / "nowhere")
