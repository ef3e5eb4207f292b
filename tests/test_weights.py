"""Official weight files at the command line: absent, another file, the right one."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from cfbench import weights
from cfbench.cli import app
from cfbench.errors import CorruptFile, MissingResource
from cfbench.registry import DATASETS
from cfbench.weights import OFFICIAL, OfficialWeights


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address below which its files can be downloaded."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def stand_ins(served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[OfficialWeights]:
    """Every official file with a small content instead, to be had from a server here."""
    folder, address = served
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "torch"))
    found = []
    for each in OFFICIAL:
        content = f"stand-in for {each.file}".encode()
        (folder / each.file).write_bytes(content)
        own = None if each.folder is None else str(tmp_path / "own")
        sha256 = hashlib.sha256(content).hexdigest()
        found.append(dataclasses.replace(each, sha256=sha256, url=f"{address}/{each.file}", folder=own))
    monkeypatch.setattr(weights, "OFFICIAL", tuple(found))
    monkeypatch.setattr(DATASETS, "names", list)
    return found


def run(*arguments: str) -> tuple[str, BaseException | None]:
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400"})
    return " ".join(done.output.split()), done.exception


def test_all_official_files_are_covered() -> None:
    names = {each.file.partition("-")[0] for each in OFFICIAL}
    assert names == {"pt_inception", "alexnet", "vgg16", "squeezenet1_1", "ViT"}
    assert all(len(each.sha256) == 64 for each in OFFICIAL)


def test_prepare_gets_every_file_and_doctor_verifies_it(stand_ins: list[OfficialWeights]) -> None:
    before, _ = run("doctor")
    for each in stand_ins:
        assert f"{each.file} {each.path} is missing; get it with: cfbench prepare --official" in before
        with pytest.raises(MissingResource):
            each.read()
    said, error = run("prepare", "fashion-mnist", "--official")
    assert error is None, said
    after, _ = run("doctor")
    for each in stand_ins:
        assert each.path.read_bytes() == f"stand-in for {each.file}".encode()
        assert f"{each.file} verified" in after


def test_doctor_tells_another_file_from_the_official_one(stand_ins: list[OfficialWeights]) -> None:
    for each in stand_ins:
        each.path.parent.mkdir(parents=True, exist_ok=True)
        each.path.write_bytes(b"another network")
    said, _ = run("doctor")
    for each in stand_ins:
        assert f"{each.path} is corrupt or truncated" in said
        assert f"expected {each.sha256}" in said
        with pytest.raises(CorruptFile):
            each.read()


def test_prepare_refuses_another_file_and_keeps_nothing(
    stand_ins: list[OfficialWeights], served: tuple[Path, str]
) -> None:
    for each in stand_ins:
        (served[0] / each.file).write_bytes(b"another network")
        with pytest.raises(CorruptFile, match="expected"):
            each.download()
        assert not each.path.exists()
    _, error = run("prepare", "fashion-mnist", "--official")
    assert isinstance(error, CorruptFile)
    assert stand_ins[0].url in str(error)
