"""Tensors kept between runs: read when whole, made again when not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from judged import batch_of, judges_of, random_images
from torch import Tensor

from cfbench.batch import KEPT
from cfbench.judges import WORTH_KEEPING
from cfbench.spaces import Space
from cfbench.tensor_cache import kept

KEY = {"space": "net@1", "images": "abc"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CFBENCH_CACHE", str(tmp_path))
    return tmp_path / "features"


class Made:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, Tensor]:
        self.times += 1
        return {"b": torch.arange(12.0).view(3, 4).t(), "a": torch.tensor([self.times > 0])}


def found(made: Made, key: dict[str, str] = KEY) -> Tensor:
    """What the cache of features gives under a key."""
    tensors = kept("features", key, made)
    assert sorted(tensors) == ["a", "b"]
    assert tensors["a"].all()
    return tensors["b"]


def test_made_once_for_a_key_and_again_for_another(folder: Path) -> None:
    made = Made()
    each = [found(made) for _ in range(3)]
    assert made.times == 1
    assert all(torch.equal(one, torch.arange(12.0).view(3, 4).t()) for one in each)
    found(made, KEY | {"images": "abd"})
    assert made.times == 2
    kept("other", KEY, made)
    assert made.times == 3
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damage", ["truncated", "one bit", "of another key"])
def test_a_damaged_file_is_made_again(folder: Path, damage: str) -> None:
    made = Made()
    expected = found(made)
    [path] = folder.iterdir()
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(data[:-8])
    elif damage == "one bit":
        data[-1] ^= 1
        path.write_bytes(data)
    else:
        found(made, KEY | {"images": "abd"})
        [other] = [each for each in folder.iterdir() if each != path]
        other.replace(path)
    before = made.times
    assert torch.equal(found(made), expected)
    assert made.times == before + 1
    found(made)
    assert made.times == before + 1


def test_a_folder_that_cannot_be_written_keeps_nothing(folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    made = Made()
    found(made)
    assert torch.equal(found(made), made()["b"])
    assert made.times == 3


@pytest.mark.parametrize(("first", "images_each_run"), [(0, (2, 1)), (KEPT, (2, 2))])
def test_a_published_network_sees_the_first_queries_once_over_all_runs(
    folder: Path, first: int, images_each_run: tuple[int, int]
) -> None:
    queries = random_images(WORTH_KEEPING, (1, 4, 4))
    seen, found = [], []
    for run in range(2):
        calls = 0

        def embed(images: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            return images.flatten(1)

        space = Space("published", "net@1", embed, published=True)
        batch = batch_of(judges_of(), queries, random_images(WORTH_KEEPING, (1, 4, 4), seed=run), first=first)
        made = batch.features(space, "counterfactuals")
        assert torch.equal(made, batch.counterfactuals.flatten(1).double())
        found.append(batch.features(space, "queries"))
        seen.append(calls)
    assert tuple(seen) == images_each_run
    assert torch.equal(found[0], queries.flatten(1).float().div(255).double())
    assert torch.equal(found[0], found[1])
