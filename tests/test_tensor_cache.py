"""Tensors kept between runs: read when whole, made again when not."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from judged import batch_of, judges_of, random_images
from torch import Tensor

from cfbench.batch import KEPT
from cfbench.judges import WORTH_KEEPING
from cfbench.spaces import Space
from cfbench.tensor_cache import kept_tensors

KEY = {"space": "net@1", "images": "abc"}
EXPECTED = {"transposed": torch.arange(12.0).view(3, 4).t().tolist(), "counted": [5]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CFBENCH_CACHE", str(tmp_path))
    return tmp_path / "features"


class Made:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, Tensor]:
        self.times += 1
        return {"transposed": torch.arange(12.0).view(3, 4).t(), "counted": torch.tensor([5])}


def kept(key: dict[str, str], made: Made) -> dict[str, list[float]]:
    return {name: tensor.tolist() for name, tensor in kept_tensors("features", key, made).items()}


def test_made_once_for_a_key_and_again_for_another(folder: Path) -> None:
    made = Made()
    found = [kept(KEY, made) for _ in range(3)]
    assert made.times == 1
    assert found == [EXPECTED] * 3
    kept(KEY | {"images": "abd"}, made)
    assert made.times == 2
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damage", ["truncated", "one bit", "of another key"])
def test_a_damaged_file_is_made_again(folder: Path, damage: str) -> None:
    made = Made()
    kept(KEY, made)
    [path] = folder.iterdir()
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(data[:-8])
    elif damage == "one bit":
        data[-1] ^= 1
        path.write_bytes(data)
    else:
        kept(KEY | {"images": "abd"}, made)
        [other] = [each for each in folder.iterdir() if each != path]
        other.replace(path)
    before = made.times
    assert kept(KEY, made) == EXPECTED
    assert made.times == before + 1
    kept(KEY, made)
    assert made.times == before + 1


def test_a_folder_that_cannot_be_written_keeps_nothing(folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    made = Made()
    kept(KEY, made)
    assert kept(KEY, made) == EXPECTED
    assert made.times == 2


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


def test_of_several_that_need_the_same_one_makes_it() -> None:
    made: list[int] = []

    def make() -> dict[str, Tensor]:
        made.append(1)
        time.sleep(0.2)
        return {"a": torch.ones(3)}

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: kept_tensors("features", {"shared": "yes"}, make)["a"], range(4)))
    assert made == [1]
    assert all(torch.equal(each, torch.ones(3)) for each in found)
