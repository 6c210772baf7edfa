import base64
import http.client
import io
import json
import socket

import pytest
import torch
from PIL import Image

from hiresvae.explore.server import MOST, Explorer

NAME = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def server(serve, trained):
    with serve(trained, NAME) as running:
        yield running


def ask(server, method, path, body=None, **headers):
    line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    try:
        line.request(method, path, body, headers)
        reply = line.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        line.close()


def opened(address):
    kind, _, held = address.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(held)))


def test_it_listens_on_the_loopback_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_port}/"


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js"])
def test_its_files_are_whole_and_name_no_other_host(server, path):
    status, headers, body = ask(server, "GET", path)
    assert status == 200 and len(body) > 1000
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    for word in (b"http:", b"https:", b"//cdn", b"innerHTML", b"eval(", b"onclick"):
        assert word not in body


@pytest.mark.parametrize(
    "path",
    [
        "/pyproject.toml",
        "/../server.py",
        "/page/../../errors.py",
        "//etc/passwd",
        "/%2e%2e/x",
        "/?a",
    ],
)
def test_no_path_of_a_request_is_opened(server, path):
    assert ask(server, "GET", path)[0] == 404
    assert ask(server, "POST", path, b"{}")[0] == 404


def test_the_facts_hold_names_as_text(server):
    known = json.loads(ask(server, "GET", "/facts")[2])
    assert known["name"] == NAME and known["size"] == 16 and known["rungs"] == 1
    assert len(known["axes"]) == 3 and "brightness" in known["attributes"]
    assert opened(known["axes"][0]["ends"][1]).size == (16, 16)


def test_pictures_are_painted(server):
    body = json.dumps({"pictures": [{"sample": 3}, {"sample": 4}]})
    status, _, reply = ask(server, "POST", "/paint", body)
    pictures = json.loads(reply)["pictures"]
    assert status == 200 and len(pictures) == 2
    # Alone, as here: sums of a larger batch may round to the next grey level.
    reply = ask(server, "POST", "/paint", json.dumps({"pictures": [{"sample": 3}]}))[2]
    own = server.studio.painter.sample(1, seed=3)[0].permute(1, 2, 0)
    assert opened(json.loads(reply)["pictures"][0]).tobytes() == own.numpy().tobytes()


def test_a_picture_is_taken_and_gone_from(server):
    held = io.BytesIO()
    Image.new("RGB", (30, 20), "teal").save(held, "PNG")
    status, _, reply = ask(server, "POST", "/picture", held.getvalue())
    answer = json.loads(reply)
    assert status == 200 and opened(answer["picture"]).size == (16, 16)
    ends = {"a": {"key": answer["key"]}, "b": {"sample": 1}}
    status, _, reply = ask(server, "POST", "/between", json.dumps({**ends, "steps": 4}))
    assert status == 200 and len(json.loads(reply)["pictures"]) == 4
    status, _, reply = ask(server, "POST", "/mix", json.dumps({**ends, "keep": 1}))
    assert status == 400 and "1 rung" in json.loads(reply)["error"]


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/paint", b"{", "JSON"),
        ("/paint", b'{"pictures": [{"key": "../../x"}]}', "drop it once more"),
        ("/picture", b"no picture", "not a picture"),
    ],
)
def test_mistakes_are_a_sentence(server, path, body, word):
    status, _, reply = ask(server, "POST", path, body)
    assert status == 400 and word in json.loads(reply)["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_other_pages_and_other_names_are_sent_away(server, headers):
    body = json.dumps({"pictures": [{"sample": 3}]})
    assert ask(server, "POST", "/paint", body, **headers)[0] == 403
    assert ask(server, "GET", "/facts", **headers)[0] == 403


def test_its_own_page_is_let_in(server):
    place = f"localhost:{server.server_port}"
    assert ask(server, "GET", "/facts", Host=place, Origin=f"http://{place}")[0] == 200


@pytest.mark.parametrize(
    ("length", "status"), [(str(MOST + 1), 413), ("9" * 5000, 413), ("-1", 411)]
)
def test_gigantic_requests_are_not_read(server, length, status):
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as line:
        host = f"127.0.0.1:{server.server_port}"
        words = f"POST /paint HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"
        line.sendall(words.encode())
        assert f" {status} ".encode() in line.recv(4096)


def test_our_own_fault_is_said_and_the_server_goes_on(server, monkeypatch, capfd):
    monkeypatch.setattr("hiresvae.explore.server.paint", lambda *_: 1 / 0)
    body = json.dumps({"pictures": [{"sample": 3}]})
    status, _, reply = ask(server, "POST", "/paint", body)
    assert status == 500 and "our fault" in json.loads(reply)["error"]
    assert "ZeroDivisionError" in capfd.readouterr().err

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("hiresvae.explore.server.paint", full)
    assert ask(server, "POST", "/paint", body)[0] == 507
    monkeypatch.undo()
    assert ask(server, "POST", "/paint", body)[0] == 200


def test_a_taken_port_is_refused_before_the_model_is_read(server, refused):
    with refused("--port", "leave --port out"):
        Explorer(lambda: pytest.fail("the model was read"), "x", server.server_port)
