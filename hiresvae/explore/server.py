"""The server behind the page: fixed files, and what `hiresvae.explore.studio` makes of a wish.

It listens on the loopback address alone, answers only requests that name that address (so that no
site can reach it by a name of its own) and come from its own page, and knows its files by heart: no
path from a request is ever opened.
"""

import base64
import io
import json
import sys
import threading
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from torch import Tensor

from hiresvae.errors import UserError, is_out_of_memory
from hiresvae.explore.studio import Studio, between, mix, paint, place
from hiresvae.explore.wishes import Between, Mix, Paint, understood
from hiresvae.images import to_pil
from hiresvae.uses.axes import ends

HOST = "127.0.0.1"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MOST = 2**20
"""Bytes of a wish."""
MOST_OF_A_PICTURE = 64 * 2**20
"""Bytes of a dropped file."""
_FOLDER = Path(__file__).parent / "page"
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}


def address_of(picture: Tensor) -> str:
    """Returns a picture ``(C, H, W)`` as an address that holds it, in PNG."""
    held = io.BytesIO()
    to_pil(picture).save(held, "PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode()


def facts(studio: Studio, name: str) -> dict[str, Any]:
    """Returns what the page needs to know of the model."""
    painter = studio.painter
    shown = ends(painter, studio.axes)
    return {
        "name": name,
        "size": painter.model.size,
        "rungs": len(painter.model.latent_shapes),
        "images_seen": painter.images_seen,
        "labels": list(painter.classes) if painter.conditional else [],
        "most_bytes": MOST_OF_A_PICTURE,
        "axes": [
            {"share": float(share), "ends": [address_of(low), address_of(high)]}
            for share, (low, high) in zip(studio.axes.shares, shown, strict=True)
        ],
        "attributes": list(studio.edits),
    }


class Explorer(ThreadingHTTPServer):
    """Serves one studio.

    Attributes:
        studio: the model.
        known: the facts, as JSON.
        turn: requests paint one after the other.
        url: where the page is.
    """

    daemon_threads = True

    def __init__(self, furnish: Callable[[], Studio], name: str, port: int = 0) -> None:
        """Takes the port, and then the time that furnishing takes.

        Args:
            furnish: gives the studio.
            name: what the page calls its model.
            port: 0 for a free one.

        Raises:
            UserError: the port cannot be had, or the model cannot.
        """
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise UserError(
                f"--port {port} cannot be had: {getattr(error, 'strerror', None) or error}; leave "
                "--port out for one that is free"
            ) from error
        try:
            self.studio = furnish()
            self.known = json.dumps(facts(self.studio, name)).encode()
        except BaseException:
            self.server_close()
            raise
        self.turn = threading.Lock()
        self.url = f"http://{HOST}:{self.server_port}/"

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        """Returns what a request brings, as what JSON can hold.

        Raises:
            UserError: it asks for what is not there.
        """
        with self.turn:
            if path == "/picture":
                key, seen = place(self.studio, body)
                return {"key": key, "picture": address_of(seen)}
            pictures = _WISHES[path](self.studio, body)
        return {"pictures": [address_of(picture) for picture in pictures]}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a browser that hung up before its answer came."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


_WISHES: dict[str, Callable[[Studio, bytes], Tensor]] = {
    "/paint": lambda studio, body: paint(studio, understood(Paint, body)),
    "/between": lambda studio, body: between(studio, understood(Between, body)),
    "/mix": lambda studio, body: mix(studio, understood(Mix, body)),
}


class _Handler(BaseHTTPRequestHandler):
    server: Explorer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "hiresvae", ""
    timeout = 60

    def do_GET(self) -> None:
        """Answers with a file of the page, or the facts."""
        if not self._ours():
            self._refuse(HTTPStatus.FORBIDDEN, "this page is for this machine alone")
        elif self.path == "/facts":
            self._send(HTTPStatus.OK, "application/json", self.server.known)
        elif self.path in _FILES:
            file, kind = _FILES[self.path]
            self._send(HTTPStatus.OK, kind, (_FOLDER / file).read_bytes())
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        """Answers with pictures."""
        most = MOST_OF_A_PICTURE if self.path == "/picture" else MOST
        length = self.headers.get("Content-Length", "")
        if not self._ours():
            self._refuse(HTTPStatus.FORBIDDEN, "this page is for this machine alone")
        elif self.path != "/picture" and self.path not in _WISHES:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
        elif not (length.isascii() and length.isdecimal()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "the request does not say how long it is")
        elif len(length) > 12 or int(length) > most:
            words = f"gigantic: more than {most // 2**20} MiB"
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words)
        else:
            self._paint(self.rfile.read(int(length)))

    def _paint(self, body: bytes) -> None:
        try:
            made = self.server.answer(self.path, body)
        except UserError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error), close=False)
        except Exception as error:
            if is_out_of_memory(error):
                self._refuse(HTTPStatus.INSUFFICIENT_STORAGE, "memory ran out", close=False)
                return
            traceback.print_exc()
            words = "this is our fault, not yours; the terminal says more"
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, words, close=False)
        else:
            self._send(HTTPStatus.OK, "application/json", json.dumps(made).encode())

    def _ours(self) -> bool:
        """Says whether a request names this server and does not come from another page."""
        port = self.server.server_port
        names = {f"{HOST}:{port}", f"localhost:{port}"}
        origin = self.headers.get("Origin")
        return self.headers.get("Host") in names and (
            origin is None or origin.removeprefix("http://") in names
        )

    def _refuse(self, status: HTTPStatus, words: str, *, close: bool = True) -> None:
        # What was sent along is not read, so nothing more can be said over this line.
        self.close_connection = close
        self._send(status, "application/json", json.dumps({"error": words}).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the terminal is for what matters."""
