"""Contact sheets: which pictures are shown, and which never are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import exit_code
from PIL import Image
from published import board_folder, shares, write_entry

from cfbench.board.publishing import gallery_png, gallery_positions
from cfbench.dataset import Dataset
from cfbench.datasets.celeba import CelebASmiling
from cfbench.datasets.fashion_mnist import FashionMNIST
from cfbench.task import Task


def write_rows(records: Path, dataset: Dataset) -> Path:
    """An entry of each of two methods on the task's own queries; gives the folder of the second."""
    table = dataset.table("test")
    columns = {"query_id": table["image_id"], "source": table["source"], "target": table["near"]}
    key = {"task": dataset.key, "split_hash": dataset.split_hash}
    write_entry(records, "pgd", shares(len(table), 0.2, 0), key=key, table=columns)
    return write_entry(records, "mine", shares(len(table), 0.5, 1), key=key, table=columns)


def test_pictures_are_the_stored_ones(tmp_path: Path) -> None:
    records, dataset = board_folder(tmp_path), FashionMNIST()
    folder = write_rows(records, dataset)
    task = Task(dataset)
    shown = task.stored[gallery_positions(len(task))]
    (folder / "gallery.png").write_bytes(gallery_png(255 - shown))
    assert exit_code("report", records, "--out", tmp_path / "report") == 0
    made = tmp_path / "report" / f"{dataset.key}-near"
    data = pd.read_csv(made / "sheet.csv")
    assert set(data["row"]) == {"mine"}
    assert data["query_id"].tolist() == task.queries["query_id"].iloc[gallery_positions(len(task))].tolist()
    assert "Left out, without pictures: pgd" in (made / "sheet.txt").read_text(encoding="utf-8")
    pixels = np.asarray(Image.open(made / "sheet.png").convert("L"))
    assert pixels.shape[1] == pytest.approx(3.4 * 220, abs=1)


def test_a_damaged_gallery_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = board_folder(tmp_path)
    folder = write_rows(records, FashionMNIST())
    for content in (b"\x89PNG\r\n\x1a\nno picture", gallery_png(Task(FashionMNIST()).stored[:3])):
        (folder / "gallery.png").write_bytes(content)
        assert exit_code("report", records, "--out", tmp_path / "report") == 2
        assert f"{folder / 'gallery.png'} is " in capsys.readouterr().err


def test_pictures_that_may_not_be_published_are_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = board_folder(tmp_path)
    folder = write_rows(records, CelebASmiling())
    (folder / "gallery.png").write_bytes(gallery_png(Task(FashionMNIST()).stored[:8]))
    assert exit_code("report", records, "--out", tmp_path / "report") == 0
    assert "Contact sheet: pictures of this data set may not be published" in capsys.readouterr().out
    assert [*(tmp_path / "report").rglob("sheet.*")] == []
