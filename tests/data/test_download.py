import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from hiresvae.data import download
from hiresvae.data.download import UnreachableError, discard, fetch
from hiresvae.errors import UserError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NOWHERE = "http://127.0.0.1:9/file"


class Server(ThreadingHTTPServer):
    """Serves CONTENT; breaks off after so many bytes an answer, and notes what was asked for."""

    block_on_close = False
    daemon_threads = True
    most, ranges, status = 10**9, True, 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        if self.server.status != 200:
            return self.send_error(self.server.status)
        start = int(wanted[6:-1]) if wanted and self.server.ranges else 0
        if start >= len(CONTENT):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + self.server.most])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "PAUSE", 0.001)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.zip"
    assert fetch(server.url, path, sha256=SHA256) == path
    assert path.read_bytes() == CONTENT
    fetch(server.url, path, sha256=SHA256)
    assert len(server.asked) == 1


def test_broken_off_downloads_go_on_where_they_stopped(server: Server, tmp_path: Path) -> None:
    server.most = 100_000
    fetch(server.url, tmp_path / "f", sha256=SHA256)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=200000-"]


def test_a_later_call_goes_on_too(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT[:250_000])
    fetch(server.url, tmp_path / "f", sha256=SHA256)
    assert server.asked == ["bytes=250000-"]
    assert not (tmp_path / "f.part").exists()


def test_servers_without_ranges_send_all_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "f.part").write_bytes(CONTENT[:250_000])
    assert fetch(server.url, tmp_path / "f", sha256=SHA256).read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_dropped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT + b"more")
    assert fetch(server.url, tmp_path / "f", sha256=SHA256).read_bytes() == CONTENT


def test_a_wrong_hash_removes_the_file_and_says_so(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not the file it should be .* removed"):
        fetch(server.url, tmp_path / "f", sha256="0" * 64)
    assert not (tmp_path / "f").exists() and not (tmp_path / "f.part").exists()


def test_an_unknown_hash_is_pinned_at_first(server: Server, tmp_path: Path) -> None:
    path = fetch(server.url, tmp_path / "f")
    assert (tmp_path / "f.sha256").read_text().startswith(SHA256)
    (tmp_path / "f.sha256").write_text("0" * 64)
    path.unlink()
    with pytest.raises(UserError, match="not the file it should be"):
        fetch(server.url, path)
    discard(path)
    assert fetch(server.url, path).read_bytes() == CONTENT


def test_a_file_put_there_by_hand_is_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(CONTENT)
    fetch(NOWHERE, tmp_path / "f", sha256=SHA256)
    (tmp_path / "g").write_bytes(b"else")
    with pytest.raises(UserError, match="not the file"):
        fetch(NOWHERE, tmp_path / "g", sha256=SHA256)


def test_no_network_and_no_file(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="refused"):
        fetch(NOWHERE, tmp_path / "f")
    server.status = 404
    with pytest.raises(UnreachableError, match="404"):
        fetch(server.url, tmp_path / "f")
    assert len(server.asked) == 1
    server.status = 503
    with pytest.raises(UnreachableError):
        fetch(server.url, tmp_path / "f")
    assert len(server.asked) == 1 + download.ATTEMPTS
