"""8-bit rounding and reading of picture files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cfbench import images
from cfbench.errors import CorruptFile, MissingResource
from cfbench.images import dequantise, quantise, read_image


def test_every_level_survives_and_halves_round_to_the_nearest() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(quantise(dequantise(levels)), levels)
    assert quantise(torch.tensor([-0.001, 0.4 / 255, 0.6 / 255, 1.001])).tolist() == [0, 0, 1, 255]


def test_png_is_read_exactly_and_scaled_only_if_needed(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(6, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "rgb.png")
    assert (read_image(tmp_path / "rgb.png", shape=(3, 6, 5)).permute(1, 2, 0).numpy() == pixels).all()
    assert read_image(tmp_path / "rgb.png", shape=(1, 12, 10)).shape == (1, 12, 10)


def test_what_is_not_a_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingResource, match="give the path of a PNG or JPEG"):
        read_image(tmp_path / "none.png", shape=(1, 4, 4))
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(CorruptFile, match=r"text.png is not a readable picture"):
        read_image(tmp_path / "text.png", shape=(1, 4, 4))
    Image.fromarray(np.zeros((64, 64), dtype=np.uint8)).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptFile, match="not a readable picture"):
        read_image(tmp_path / "cut.png", shape=(1, 4, 4))
    (tmp_path / "whole.png").write_bytes(whole)
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    with pytest.raises(CorruptFile, match="64 x 64 pixels"):
        read_image(tmp_path / "whole.png", shape=(1, 4, 4))
