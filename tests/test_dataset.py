"""Manifests, verified files, networks that are built rather than packaged; the IDX format."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from cfbench.errors import CorruptFile, MissingResource, UnknownName
from cfbench.files import sha256_bytes
from cfbench.idx import read_idx
from cfbench.preparation import train_network
from cfbench.testing import Toy


@pytest.fixture
def copy(toy_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_folder, tmp_path / "copy"))


def edit(folder: Path, change: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)  # type: ignore[operator]
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_network_that_is_not_packaged_is_built_and_then_found(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CFBENCH_CACHE", str(tmp_path / "cache"))
    before = Toy(copy).entry("oracle-1").sha256
    edit(copy, lambda manifest: manifest["networks"].pop("oracle-1"))
    with pytest.raises(MissingResource, match="run: cfbench prepare toy --train --only oracle-1"):
        Toy(copy).network("oracle-1")

    dataset = Toy(copy)
    train_network(dataset, "oracle-1", dataset.raw(None), dataset.built_folder, lambda share, text: None)
    built = Toy(copy)
    assert built.entry("oracle-1").sha256 == before, "the same seed must give the same bits"
    assert built.network("oracle-1")(torch.rand(2, 1, 12, 12)).shape == (2, 3)
    weights = built.built_folder / built.entry("oracle-1").file
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(CorruptFile, match=r"corrupt or truncated.*run: cfbench prepare toy --train"):
        Toy(copy).network("oracle-1")


def test_damaged_or_foreign_manifests_are_refused(copy: Path) -> None:
    edit(copy, lambda manifest: manifest.update(version="v0"))
    with pytest.raises(CorruptFile, match="is of version v0, expected v1"):
        _ = Toy(copy).manifest
    (copy / "manifest.json").write_text('{"version": ')
    with pytest.raises(CorruptFile, match="not a valid manifest"):
        _ = Toy(copy).manifest
    (copy / "manifest.json").unlink()
    with pytest.raises(MissingResource, match="build it with: cfbench prepare toy --train --splits --out"):
        _ = Toy(copy).manifest


def test_missing_splits_and_unknown_networks_say_what_to_do(copy: Path) -> None:
    edit(copy, lambda manifest: manifest["splits"].pop("test.csv"))
    with pytest.raises(MissingResource, match=r"toy@v1 has no test.csv; run: cfbench prepare toy --splits"):
        Toy(copy).table("test")
    with pytest.raises(UnknownName, match="no network 'flow'; it has classifier"):
        Toy(copy).entry("flow")


def test_loading_a_network_leaves_the_global_random_state(toy: Toy) -> None:
    before = torch.get_rng_state()
    toy.network("classifier")
    assert torch.equal(before, torch.get_rng_state())


def test_idx_plain_gzipped_and_damaged(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    data = struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 3, 4) + values.tobytes()
    (tmp_path / "plain").write_bytes(data)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(data))
    for name in ("plain", "packed"):
        np.testing.assert_array_equal(read_idx([tmp_path], name, sha256=sha256_bytes(data)), values)
    with pytest.raises(MissingResource, match=r"other\[.gz\] not found in"):
        read_idx([tmp_path], "other", sha256="")
    with pytest.raises(CorruptFile, match="sha256 of the content is"):
        read_idx([tmp_path], "plain", sha256="0" * 64)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(data)[:-12])
    with pytest.raises(CorruptFile, match="not a readable gzip file"):
        read_idx([tmp_path], "packed", sha256=sha256_bytes(data))
