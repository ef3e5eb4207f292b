"""Images made elsewhere: every layout is read as it was saved, whatever is not images is refused and named."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from cfbench.errors import CfbenchError, CorruptFile, InvalidParameter, MissingResource
from cfbench.image_sets import ImageSet, open_images

RANDOM = np.random.default_rng(0)
GRAY = RANDOM.integers(0, 256, (7, 5, 6), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (7, 3, 5, 6), dtype=np.uint8)


def saved(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def as_npy(array: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def whole(images: ImageSet) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = torch.cat(list(images.batches(len(images)))).numpy()
    return values


def pictures(folder: Path, images: NDArray[np.uint8]) -> Path:
    """Each image, ``[H, W]`` or ``[C, H, W]``, as a PNG file under its number."""
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image if image.ndim == 2 else image.transpose(1, 2, 0)).save(folder / f"q{index}.png")
    return folder


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GRAY, GRAY[:, None]),
        (GRAY[:, None], GRAY[:, None]),
        (GRAY[..., None], GRAY[:, None]),
        (COLOUR, COLOUR),
        (COLOUR.transpose(0, 2, 3, 1).copy(), COLOUR),
        (COLOUR / 255, COLOUR),
        ((COLOUR / 255).astype(np.float32), COLOUR),
        ((COLOUR / 255).astype(">f4").transpose(0, 2, 3, 1).copy(), COLOUR),
    ],
    ids=["NHW", "N1HW", "NHW1", "N3HW", "NHW3", "float64", "float32", "big-endian"],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_layout_gives_the_same_8_bit_images(
    array: NDArray[np.generic], expected: NDArray[np.uint8], save: Callable[..., None], tmp_path: Path
) -> None:
    save(tmp_path / "set.npz", images=array)
    images = open_images(tmp_path / "set.npz")
    assert (len(images), images.shape) == (7, expected.shape[1:])
    np.testing.assert_array_equal(whole(images), expected)


def test_floats_are_rounded_to_the_nearest_level(tmp_path: Path) -> None:
    values = RANDOM.random((4, 3, 3))
    images = open_images(saved(tmp_path / "set.npz", images=values))
    np.testing.assert_array_equal(whole(images)[:, 0], np.rint(values * 255))


@pytest.mark.parametrize("images", [GRAY, COLOUR], ids=["gray", "colour"])
def test_a_folder_of_pngs_is_read_in_the_order_of_its_names(images: NDArray[np.uint8], tmp_path: Path) -> None:
    found = open_images(pictures(tmp_path / "set", images))
    assert found.names == [f"q{index}" for index in range(7)]
    np.testing.assert_array_equal(whole(found), images.reshape(7, -1, 5, 6))


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_batches_are_the_whole_in_parts(size: int, tmp_path: Path) -> None:
    for images in (
        open_images(saved(tmp_path / "gray.npz", images=GRAY)),
        open_images(saved(tmp_path / "last.npz", images=COLOUR.transpose(0, 2, 3, 1).copy())),
        open_images(pictures(tmp_path / "set", COLOUR)),
    ):
        parts = list(images.batches(size))
        assert all(len(part) == size for part in parts[:-1])
        np.testing.assert_array_equal(torch.cat(parts).numpy(), whole(images))


def test_columns_come_with_the_images(tmp_path: Path) -> None:
    targets, other = np.arange(7), np.arange(3)
    images = open_images(saved(tmp_path / "set.npz", images=GRAY, targets=targets, failed=targets > 4, notes=other))
    assert set(images.columns) == {"targets", "failed"}
    np.testing.assert_array_equal(images.columns["targets"], targets)


def test_one_array_of_images_needs_no_name(tmp_path: Path) -> None:
    images = open_images(saved(tmp_path / "set.npz", cfs=GRAY, labels=np.arange(7)))
    np.testing.assert_array_equal(whole(images)[:, 0], GRAY)


@pytest.mark.parametrize("entry", ["images", "../images.npy", "/deep/inside/images.npy"])
def test_names_inside_the_archive_are_labels_not_paths(entry: str, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    path = tmp_path / "inner" / "set.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, as_npy(GRAY))
    np.testing.assert_array_equal(whole(open_images(path))[:, 0], GRAY)
    assert list(tmp_path.rglob("*.npy")) == []


def test_the_hash_follows_the_content(tmp_path: Path) -> None:
    changed = GRAY.copy()
    changed[0, 0, 0] ^= 1
    for make in (
        lambda name, array: saved(tmp_path / f"{name}.npz", images=array),
        lambda n, a: pictures(tmp_path / n, a),
    ):
        first, again, other = (
            open_images(make(name, array)).sha256 for name, array in (("a", GRAY), ("b", GRAY), ("c", changed))
        )
        assert first == again
        assert first != other


class Bomb:
    """Leaves a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", ["images", "targets", "unread"])
def test_objects_are_refused_and_never_unpickled(name: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists(), "the pickle would leave a mark"
    mark.unlink()
    planted = np.empty(7, dtype=object)
    planted[:] = [Bomb(mark)] * 7
    path = saved(tmp_path / "set.npz", **({"images": GRAY} | {name: planted}))
    with pytest.raises(InvalidParameter, match=f"Python objects in array {name}, which are never unpickled; save"):
        open_images(path)
    assert not mark.exists()


def refusal(arrays: dict[str, object], path: Path) -> str:
    with pytest.raises(InvalidParameter) as refused:
        list(open_images(saved(path, **arrays)).batches(3))
    return str(refused.value)


NOT_A_NUMBER = np.where(GRAY[3, 2, 1] == GRAY, np.nan, 0.5)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {"images": np.linspace(-0.5, 0.5, 3 * 4 * 4).reshape(3, 4, 4)},
            ["float64", "[-0.5, 0.5]", "floats in [0, 1]"],
        ),
        ({"images": GRAY.astype(np.float32)}, ["float32", "expected 8-bit images"]),
        ({"images": NOT_A_NUMBER}, ["[nan, nan]", "finite floats in [0, 1]"]),
        ({"images": GRAY.astype(np.int64)}, ["int64 images", "uint8"]),
        ({"images": GRAY.astype("U3")}, ["<U3 images", "uint8"]),
        ({"images": GRAY, "targets": np.arange(6)}, ["targets of shape [6]", "expected [7], one an image"]),
        ({"images": GRAY, "failed": np.zeros((7, 1))}, ["failed of shape [7, 1]", "expected [7]"]),
        ({"images": GRAY, "predictions": np.array(["cat"] * 7)}, ["predictions of type <U3", "expected numbers"]),
        ({"targets": np.arange(7)}, ["no array called images", "it holds targets [7]"]),
        ({}, ["no array called images", "it holds nothing"]),
        ({"a": GRAY, "b": COLOUR}, ["no array called images", "a [7, 5, 6], b [7, 3, 5, 6]"]),
        ({"images": np.asfortranarray(GRAY)}, ["column order", "numpy.ascontiguousarray"]),
        ({"images": GRAY[:0]}, ["shape [0, 5, 6]", "at least one image"]),
        ({"images": GRAY[:, :0]}, ["shape [7, 0, 6]", "expected [N, H, W]"]),
        ({"images": COLOUR[:, :2]}, ["shape [7, 2, 5, 6]", "1 or 3 channels"]),
        ({"images": GRAY[0]}, ["shape [5, 6]", "expected [N, H, W]"]),
    ],
)
def test_what_is_no_set_of_images_is_refused(arrays: dict[str, object], words: list[str], tmp_path: Path) -> None:
    message = refusal(arrays, tmp_path / "set.npz")
    assert str(tmp_path / "set.npz") in message
    for word in words:
        assert word in message


def test_damaged_files_are_named(tmp_path: Path) -> None:
    good = saved(tmp_path / "good.npz", images=GRAY).read_bytes()
    (tmp_path / "cut.npz").write_bytes(good[: len(good) // 2])
    (tmp_path / "text.npz").write_text("not a zip")
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("cut", "text", "empty"):
        with pytest.raises(CorruptFile, match=rf"{name}.npz is not a readable npz file .*; save it with numpy.savez"):
            open_images(tmp_path / f"{name}.npz")
    with zipfile.ZipFile(tmp_path / "short.npz", "w") as archive:
        archive.writestr("images.npy", as_npy(GRAY)[:-1])
    with pytest.raises(CorruptFile, match=r"short.npz is truncated in array images.*; save it again"):
        list(open_images(tmp_path / "short.npz").batches(3))
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("images.npy", b"something else")
    with pytest.raises(CorruptFile, match=r"other.npz is damaged in array images: .*; save it again"):
        open_images(tmp_path / "other.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_any_changed_byte_of_the_images_is_noticed(save: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    save(path, images=GRAY)
    good = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("images.npy")
    first = info.header_offset + 30 + len("images.npy") + 20
    last = first + info.compress_size - 1
    for place in range(first, last, 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        with pytest.raises(CfbenchError, match=r"set.npz"):
            list(open_images(path).batches(3))


def test_folders_that_are_no_set_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match=r"nowhere.npz is missing; give an npz file or a folder of PNG files"):
        open_images(tmp_path / "nowhere.npz")
    (tmp_path / "set.npy").write_bytes(as_npy(GRAY))
    with pytest.raises(InvalidParameter, match=r"set.npy is neither an npz file nor a folder; .* numpy.savez"):
        open_images(tmp_path / "set.npy")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "a.jpg").touch()
    with pytest.raises(MissingResource, match="bare has no PNG files; save one an image"):
        open_images(tmp_path / "bare")


def test_pictures_of_another_size_or_damaged_are_named(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set", GRAY)
    Image.fromarray(GRAY[0, :4]).save(folder / "q3.png")
    with pytest.raises(InvalidParameter, match=r"q3.png has 6 x 4 pixels, mode L, others 6 x 5 and 1 channels; save"):
        list(open_images(folder).batches(3))
    Image.fromarray(GRAY[0]).convert("RGB").save(folder / "q3.png")
    with pytest.raises(InvalidParameter, match=r"q3.png has 6 x 5 pixels, mode RGB"):
        list(open_images(folder).batches(3))
    Image.fromarray(GRAY[0].astype(np.uint16) * 257).save(folder / "q3.png")
    with pytest.raises(CorruptFile, match=r"q3.png has more than 8 bits a pixel \(mode I;16\); save it with 8 bits"):
        list(open_images(folder).batches(3))
    (folder / "q3.png").write_bytes((folder / "q2.png").read_bytes()[:50])
    with pytest.raises(CorruptFile, match=r"q3.png is not a readable picture"):
        list(open_images(folder).batches(3))
    (folder / "q0.png").write_bytes(b"")
    with pytest.raises(CorruptFile, match=r"q0.png is not a readable picture"):
        open_images(folder)
