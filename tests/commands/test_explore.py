import socket

import pytest

from hiresvae.cli import main
from hiresvae.errors import Terminated
from hiresvae.explore.server import Explorer


@pytest.fixture
def ended(monkeypatch):
    """Every server ends at once, as by Ctrl-C; gives the addresses that a browser was sent to."""

    def interrupt(self):
        raise KeyboardInterrupt

    sent = []
    monkeypatch.setattr(Explorer, "serve_forever", interrupt)
    monkeypatch.setattr("webbrowser.open", sent.append)
    return sent


def call(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["hiresvae", "explore", *map(str, words), "--device", "cpu"])
    try:
        main()
    except SystemExit as done:
        return done.code or 0
    return 0


def test_it_says_where_the_page_is(trained, ended, capsys, monkeypatch):
    assert call(monkeypatch, trained, "--no-browser") == 0
    said = capsys.readouterr().out
    assert "http://127.0.0.1:" in said and "Ctrl-C" in said and not ended
    assert call(monkeypatch, trained) == 0
    assert len(ended) == 1 and ended[0].startswith("http://127.0.0.1:")


def test_sigterm_has_its_own_code(trained, ended, capsys, monkeypatch):
    def terminate(self):
        raise Terminated

    monkeypatch.setattr(Explorer, "serve_forever", terminate)
    assert call(monkeypatch, trained, "--no-browser") == 143
    assert "stopped by SIGTERM" in capsys.readouterr().err


def test_mistakes_are_one_sentence_and_code_2(trained, ended, capsys, monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert call(monkeypatch, trained, "--no-browser", "--port", port) == 2
    said = capsys.readouterr().err
    assert f"--port {port}" in said and said.count("\n") == 1
    assert call(monkeypatch, tmp_path / "none", "--no-browser") == 2
    said = capsys.readouterr().err
    assert "does not exist" in said and said.count("\n") == 1
