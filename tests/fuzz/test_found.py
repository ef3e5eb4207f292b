"""What fuzzing found, each as the smallest case of it."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from judged import random_images
from odd_arrays import HEADERS
from PIL import Image
from published_texts import RECORD

from cfbench.board.archive import Refused, open_archive
from cfbench.distances.frechet import Moments, frechet_distance
from cfbench.distances.intervals import jackknife
from cfbench.errors import CorruptFile, InvalidParameter
from cfbench.files import read_verified
from cfbench.metrics.agreement import jensen_shannon
from cfbench.metrics.proximity import ssim
from cfbench.npz import read_header
from cfbench.objects import DarkerThanBorder
from cfbench.picture_folder import open_folder
from cfbench.query_table import read_query_table
from cfbench.record import TABLE, Record
from cfbench.stats import bootstrap_mean, crossed_difference


@pytest.mark.parametrize("header", HEADERS[1:2] + HEADERS[6:])
def test_headers_that_numpy_cannot_parse(header: str) -> None:
    data = header.encode("latin1")
    stream = io.BytesIO(b"\x93NUMPY\x01\x00" + len(data).to_bytes(2, "little") + data + bytes(96))
    with pytest.raises(CorruptFile, match=r"odd\.npz is damaged in array images"):
        read_header(stream, "odd.npz", "images")


def test_a_member_without_a_name() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(""), b"x")
    with pytest.raises(Refused, match=r"odd\.zip holds ''"), open_archive(buffer, "odd.zip", most=3, compressed=False):
        pass


@pytest.mark.parametrize(
    ("column", "values"),
    [("query_id", [b"\x80", b"a"]), ("query_id", [[0], [1]]), ("target", [0.5, 1.0]), ("flip_rate", ["a", "b"])],
)
def test_query_tables_with_columns_of_another_type(column: str, values: list[object], tmp_path: Path) -> None:
    queries = {"expected": 2, "requested": 2, "done": 2, "failed": 0}
    record = Record.model_validate(RECORD | {"queries": queries})
    table = pd.DataFrame({"query_id": ["a", "b"], "target": [0, 1], "flipped": [True, False], "flip_rate": [1.0, 0.0]})
    table[column] = pd.Series(values)
    table.to_parquet(tmp_path / TABLE, index=False)
    with pytest.raises(CorruptFile, match=rf"{TABLE} has column '{column}' of type"):
        read_query_table(tmp_path, record)


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile, match=r"cannot be read .*; build it again"):
        read_verified(tmp_path, sha256="0" * 64, remedy="build it again")


def test_names_that_are_no_text_and_folders_named_as_pictures(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name / "empty.png").mkdir(parents=True)
        shade = Image.new("L", (4, 4), 9 * len(list(tmp_path.iterdir())))
        shade.save(tmp_path / name / "one.png")
    assert open_folder(tmp_path, seed=0).pictures["file"].tolist() == ["cat/one.png", "dog/one.png"]
    Image.new("L", (4, 4), 99).save(tmp_path / "cat" / os.fsdecode(b"caf\xe9.png"))
    with pytest.raises(InvalidParameter, match=r"cat/caf.*whose name is not plain text"):
        open_folder(tmp_path, seed=0)


def test_the_object_of_images_that_are_all_corner() -> None:
    images = random_images(3, (1, 9, 1))
    assert not DarkerThanBorder()(images).any()


@pytest.mark.parametrize("scale", [1e-200, 1e200, 1e307])
def test_means_whose_squares_vanish_or_overflow(scale: float) -> None:
    values = np.linspace(0, scale, 60)
    with np.errstate(all="ignore"):
        assert bootstrap_mean(values) == (values.min(), values.max())


def test_variances_whose_squares_vanish() -> None:
    tiny = crossed_difference(np.array([[0.0, 0.0]]), np.array([[5e-138, 0.0]]))
    plain = crossed_difference(np.array([[0.0, 0.0]]), np.array([[5.0, 0.0]]))
    assert tiny.p == pytest.approx(plain.p)
    values = np.arange(40) * 1e-100

    def mean(left_out: tuple[int, ...]) -> float:
        return float(values[~np.isin(np.arange(40) % 20, left_out)].mean())

    both = jackknife(mean).and_of(jackknife(mean))
    assert both.interval[0] < values.mean() < both.interval[1]


def test_distances_of_sets_that_do_not_fit() -> None:
    first, second = (Moments.of(np.random.default_rng(0).normal(size=(30, width))) for width in (3, 4))
    with pytest.raises(InvalidParameter, match=r"vectors have \[3, 4\] features"):
        frechet_distance(first.gaussian, second.gaussian)
    with pytest.raises(InvalidParameter, match=r"vectors have \[0\] features"):
        Moments.of(np.zeros((5, 0)))


def test_similarities_and_divergences_keep_to_their_bounds() -> None:
    for seed in range(200):
        images = random_images(4, (1, 12, 12), seed).double() / 255
        assert ssim(images, images).max() <= 1
    certain = torch.eye(3, dtype=torch.float64)
    assert jensen_shannon(certain, certain.roll(1, 0)).max() <= np.log(2)
