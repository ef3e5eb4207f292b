"""Downloads from a server here that breaks off, cannot go on, is absent, or gives another file."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cfbench.download import fetch
from cfbench.errors import CorruptFile, MissingResource

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Shop(BaseHTTPRequestHandler):
    """Serves ``content``: a request at a time stops after ``limit`` bytes; ``ranges`` tells whether it can go on."""

    content = CONTENT
    limit = len(CONTENT)
    ranges = True
    asked: list[str]

    def do_GET(self) -> None:
        given = self.headers.get("Range", "")
        self.asked.append(given)
        start = int(given.removeprefix("bytes=").removesuffix("-")) if given and self.ranges else 0
        if start and start >= len(self.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start : start + self.limit])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[tuple[type[Shop], str]]:
    """The handler, to be changed, and the address of its file."""
    handler = type("Here", (Shop,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}/file.bin"
    server.shutdown()
    thread.join()


def test_a_file_is_fetched_once(shop: tuple[type[Shop], str], tmp_path: Path) -> None:
    handler, url = shop
    for _ in range(2):
        path = fetch(url, tmp_path / "new" / "file.bin", sha256=SHA256)
        assert path.read_bytes() == CONTENT
    assert handler.asked == [""]
    assert [each.name for each in path.parent.iterdir()] == ["file.bin"]


def test_what_broke_off_goes_on_from_there(shop: tuple[type[Shop], str], tmp_path: Path) -> None:
    handler, url = shop
    handler.limit = len(CONTENT) // 3
    path = tmp_path / "file.bin"
    for _ in range(2):
        with pytest.raises(MissingResource, match="run the command again to go on, or copy the file"):
            fetch(url, path, sha256=SHA256)
        assert not path.exists()
    handler.limit = len(CONTENT)
    assert fetch(url, path, sha256=SHA256).read_bytes() == CONTENT
    assert handler.asked == ["", f"bytes={len(CONTENT) // 3}-", f"bytes={2 * (len(CONTENT) // 3)}-"]


def test_a_server_that_cannot_go_on_starts_again(shop: tuple[type[Shop], str], tmp_path: Path) -> None:
    handler, url = shop
    handler.ranges = False
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    assert fetch(url, tmp_path / "file.bin", sha256=SHA256).read_bytes() == CONTENT


def test_a_part_that_was_whole_is_checked_and_used(shop: tuple[type[Shop], str], tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert fetch(shop[1], tmp_path / "file.bin", sha256=SHA256).read_bytes() == CONTENT


def test_another_file_is_refused_and_not_kept(shop: tuple[type[Shop], str], tmp_path: Path) -> None:
    handler, url = shop
    handler.content = CONTENT[::-1]
    path = tmp_path / "file.bin"
    with pytest.raises(CorruptFile, match=f"expected {SHA256}"):
        fetch(url, path, sha256=SHA256)
    assert not list(tmp_path.iterdir())
    path.write_bytes(b"the user's own")
    with pytest.raises(CorruptFile, match="has sha256"):
        fetch(url, path, sha256=SHA256)
    assert path.read_bytes() == b"the user's own"


def test_the_hash_may_be_that_of_what_is_packed(shop: tuple[type[Shop], str], tmp_path: Path) -> None:
    handler, url = shop
    handler.content = gzip.compress(CONTENT)
    assert gzip.decompress(fetch(url, tmp_path / "a.gz", sha256=SHA256, packed=True).read_bytes()) == CONTENT
    handler.content = CONTENT
    with pytest.raises(CorruptFile, match="Not a gzipped file"):
        fetch(url, tmp_path / "b.gz", sha256=SHA256, packed=True)


def test_an_absent_server_or_file_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match=r"cannot be downloaded .*; run the command again"):
        fetch("http://127.0.0.1:9/file.bin", tmp_path / "file.bin", sha256=SHA256)
