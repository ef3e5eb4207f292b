"""Packs of small pictures, and reading folders of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cfbench.errors import CorruptFile, MissingResource
from cfbench.pictures import read_jpegs, read_pictures, write_jpegs


def smooth(count: int) -> torch.Tensor:
    ramp = torch.linspace(30, 220, 16)
    images = torch.stack([ramp.expand(16, 16), ramp[:, None].expand(16, 16), torch.full((16, 16), 90.0)])
    return (images + 5 * torch.arange(count)[:, None, None, None]).to(torch.uint8)


def test_a_pack_keeps_pictures_closely_and_columns_exactly(tmp_path: Path) -> None:
    images, labels = smooth(5), np.arange(5)
    write_jpegs(tmp_path / "pack.npz", images, labels=labels)
    read, columns = read_jpegs((tmp_path / "pack.npz").read_bytes())
    assert read.shape == images.shape
    assert (read.float() - images.float()).abs().max() <= 4, "JPEG at quality 92"
    np.testing.assert_array_equal(columns["labels"], labels)
    assert torch.equal(read, read_jpegs((tmp_path / "pack.npz").read_bytes())[0])


def test_a_damaged_pack_names_the_picture(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "pack.npz", smooth(3))
    with np.load(tmp_path / "pack.npz") as archive:
        data, ends = archive["data"].copy(), archive["ends"]
    data[ends[0] : ends[0] + 4] = 0
    np.savez(tmp_path / "bad.npz", data=data, ends=ends)
    with pytest.raises(CorruptFile, match="picture 1 cannot be decoded"):
        read_jpegs((tmp_path / "bad.npz").read_bytes())
    with pytest.raises(CorruptFile, match="not an archive of pictures"):
        read_jpegs(b"PK something else")


def test_the_middle_square_is_kept(tmp_path: Path) -> None:
    picture = np.zeros((40, 20, 3), np.uint8)
    picture[10:30] = [250, 120, 10]
    Image.fromarray(picture).save(tmp_path / "tall.png")
    image = read_pictures([tmp_path / "tall.png"], side=10)
    assert image.shape == (1, 3, 10, 10)
    assert torch.equal(image[0, :, 5, 5], torch.tensor([250, 120, 10], dtype=torch.uint8))
    assert torch.equal(image, image[:, :, 5:6, 5:6].expand_as(image)), "the black ends are cropped"
    inner = read_pictures([tmp_path / "tall.png"], side=4, crop=4)
    np.testing.assert_array_equal(inner[0].permute(1, 2, 0), picture[18:22, 8:12])


def test_missing_and_broken_pictures_are_counted_and_named(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match=r"2 of 2 pictures are missing, such as .*a.jpg"):
        read_pictures([tmp_path / "a.jpg", tmp_path / "b.jpg"], side=8)
    (tmp_path / "a.jpg").write_bytes(b"not a picture")
    with pytest.raises(CorruptFile, match=r"a.jpg is not a readable picture"):
        read_pictures([tmp_path / "a.jpg"], side=8)
