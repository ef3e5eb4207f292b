"""Pictures, sets of images, folders of pictures and tables of targets, damaged in every way."""

from __future__ import annotations

import io
import os
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fuzzing import cases, damaged, refused
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, DrawFn
from odd_arrays import archives, npz
from PIL import Image

from cfbench.errors import CorruptFile
from cfbench.image_sets import open_images
from cfbench.images import read_image
from cfbench.imports import Imported
from cfbench.picture_folder import decode, open_folder
from cfbench.pictures import read_square

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16", "YCbCr")

FORMATS = {"png": "PNG", "jpg": "JPEG", "bmp": "BMP", "webp": "WEBP", "gif.png": "GIF", "tif.png": "TIFF"}

COUNT = 5

IMAGES = npz(
    images=np.arange(COUNT * 12, dtype=np.uint8).reshape(COUNT, 3, 4),
    targets=np.arange(COUNT) % 3,
    predictions=np.arange(COUNT) % 2,
    failed=np.zeros(COUNT, dtype=bool),
    labels=np.arange(COUNT),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@st.composite
def pictures(draw: DrawFn) -> tuple[str, bytes]:
    """Suffix and content of a picture of any mode, size and format; most often damaged."""
    suffix = draw(st.sampled_from(sorted(FORMATS)))
    mode = draw(st.sampled_from(MODES))
    size = draw(st.sampled_from([1, 2, 7, 30])), draw(st.sampled_from([1, 3, 8, 30]))
    buffer = io.BytesIO()
    noise = Image.linear_gradient("L").resize(size)
    try:
        noise.convert("I" if mode == "I;16" else mode).convert(mode).save(buffer, FORMATS[suffix])
    except (OSError, ValueError, KeyError):
        noise.save(buffer, FORMATS[suffix])
    whole = buffer.getvalue()
    return suffix, whole if draw(st.integers(0, 3)) == 0 else draw(damaged(whole))


@cases(150)
@given(picture=pictures(), channels=st.sampled_from([1, 3]))
def test_pictures(folder: Path, picture: tuple[str, bytes], channels: int) -> None:
    path = folder / f"picture.{picture[0]}"
    path.write_bytes(picture[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with refused(path.name):
            assert read_image(path, shape=(channels, 6, 5)).shape == (channels, 6, 5)
        with refused(path.name):
            assert read_square(path, side=8)[0].shape == (8, 8, 3)


@cases(40)
@given(made=st.lists(pictures(), min_size=1, max_size=3))
def test_folders_of_png_files(folder: Path, made: list[tuple[str, bytes]]) -> None:
    place = folder / "set"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for index, (_, data) in enumerate(made):
        (place / f"q{index}.png").write_bytes(data)
    with warnings.catch_warnings(), refused(str(place)):
        warnings.simplefilter("ignore")
        found = open_images(place)
        assert sum(len(batch) for batch in found.batches(2)) == len(made)


@cases(120)
@given(data=archives(IMAGES, ("images.npy", "targets.npy", "failed", "pictures.npy")))
def test_npz_files(folder: Path, data: bytes) -> None:
    path = folder / "made.npz"
    path.write_bytes(data)
    found = None
    with warnings.catch_warnings(), refused("made.npz"):
        warnings.simplefilter("ignore")
        found = open_images(path)
        batches = list(found.batches(2))
        assert sum(map(len, batches)) == len(found) > 0
        assert all(batch.shape[1:] == found.shape for batch in batches)
    with warnings.catch_warnings(), refused("targets"):
        warnings.simplefilter("ignore")
        assert found is None or len(Imported.paired(found, found).targets) == len(found)


CELLS = st.sampled_from(["0", "1", "-1", "2.0", "1.5", "nan", "inf", "1e30", "", "x", '"', "9" * 30, "é", "000000"])


@cases(150)
@given(data=st.data())
def test_tables_of_targets(folder: Path, data: DataObject) -> None:
    (folder / "images.npz").write_bytes(IMAGES)
    found = open_images(folder / "images.npz")
    header = data.draw(
        st.sampled_from(["name,target", "target", "target,name,name", "target,target", "name", "", "a,b"])
    )
    rows = [
        ",".join([data.draw(st.sampled_from([name, name, *found.names])), data.draw(CELLS)][: header.count(",") + 1])
        for name in found.names
    ]
    text = "\n".join([header, *rows]).encode()
    (folder / "targets.csv").write_bytes(data.draw(damaged(text)) if data.draw(st.integers(0, 3)) == 0 else text)
    with warnings.catch_warnings(), refused("target"):
        warnings.simplefilter("ignore")
        paired = Imported.paired(found, found, targets=folder / "targets.csv")
        assert len(paired.targets) == COUNT


NAMES = (b"cat", b"dog", b"train", b"test", b".hidden", b"caf\xe9", "caf\u00e9".encode(), b"a.png", b"line\nfeed")


@cases(40)
@given(data=st.data())
def test_folders_of_classes(folder: Path, data: DataObject) -> None:
    place = folder / "classes"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for _ in range(data.draw(st.integers(0, 8))):
        parts = [os.fsdecode(data.draw(st.sampled_from(NAMES))) for _ in range(data.draw(st.integers(1, 3)))]
        suffix, content = data.draw(pictures())
        inside = place.joinpath(*parts)
        try:
            inside.mkdir(parents=True, exist_ok=True)
            match data.draw(st.sampled_from(["picture", "picture", "folder", "link", "nothing"])):
                case "picture":
                    (inside / f"p{data.draw(st.integers(0, 3))}.{suffix}").write_bytes(content)
                case "folder":
                    (inside / f"f.{suffix}").mkdir()
                case "link":
                    (inside / f"l.{suffix}").symlink_to(data.draw(st.sampled_from(["gone", ".", ".."])))
        except OSError:
            continue
    with warnings.catch_warnings(), refused(str(place)):
        warnings.simplefilter("ignore")
        found = open_folder(place, seed=0)
        images = decode(found, side=8, skip_damaged=data.draw(st.booleans()))
        assert len(images.images) + len(images.damaged) == len(found.pictures)
        found.check_counts()


def test_an_array_that_says_it_is_huge_is_refused_unread(folder: Path) -> None:
    """Its header alone would ask for a list of a million million names."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 3, 4), }\n"
    with zipfile.ZipFile(folder / "huge.npz", "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(24))
    with pytest.raises(CorruptFile, match=r"huge\.npz is truncated in array images \[1000000000000, 3, 4\]"):
        open_images(folder / "huge.npz")


def test_images_whose_names_pandas_takes_for_missing(folder: Path) -> None:
    place = folder / "missing"
    place.mkdir()
    for name in ("NA", "null", "nan"):
        Image.new("L", (4, 4)).save(place / f"{name}.png")
    (folder / "names.csv").write_text("name,target\nnull,2\nNA,0\nnan,1\n")
    found = open_images(place)
    assert Imported.paired(found, found, targets=folder / "names.csv").targets.tolist() == [0, 1, 2]
