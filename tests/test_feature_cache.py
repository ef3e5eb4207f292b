"""Features kept between runs: read when whole, made again when not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from cfbench.feature_cache import kept_features

KEY = {"space": "net@1", "images": "abc"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CFBENCH_CACHE", str(tmp_path))
    return tmp_path / "features"


class Made:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Tensor:
        self.times += 1
        return torch.arange(12.0).view(3, 4).t()


def test_made_once_for_a_key_and_again_for_another(folder: Path) -> None:
    made = Made()
    found = [kept_features(KEY, made) for _ in range(3)]
    assert made.times == 1
    assert all(torch.equal(each, torch.arange(12.0).view(3, 4).t()) for each in found)
    kept_features(KEY | {"images": "abd"}, made)
    assert made.times == 2
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damage", ["truncated", "one bit", "of another key"])
def test_a_damaged_file_is_made_again(folder: Path, damage: str) -> None:
    made = Made()
    expected = kept_features(KEY, made)
    [path] = folder.iterdir()
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(data[:-8])
    elif damage == "one bit":
        data[-1] ^= 1
        path.write_bytes(data)
    else:
        kept_features(KEY | {"images": "abd"}, made)
        [other] = [each for each in folder.iterdir() if each != path]
        other.replace(path)
    before = made.times
    assert torch.equal(kept_features(KEY, made), expected)
    assert made.times == before + 1
    kept_features(KEY, made)
    assert made.times == before + 1


def test_a_folder_that_cannot_be_written_keeps_nothing(folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    made = Made()
    kept_features(KEY, made)
    assert torch.equal(kept_features(KEY, made), made())
    assert made.times == 3
