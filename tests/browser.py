"""A headless Chromium that is told what to do over two pipes (the DevTools protocol)."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
# Chromium reads commands from 3 and writes to 4.
STARTER = (
    "import os, sys; reads, writes, *rest = sys.argv[1:]; os.dup2(int(reads), 3); "
    "os.dup2(int(writes), 4); os.execv(rest[0], rest)"
)
PATIENCE = 120
KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "Tab": 9, "Enter": 13, " ": 32, "End": 35}


class Page:
    """One page: commands go out, replies and events come back."""

    def __init__(self, to: int, back: int) -> None:
        self.to, self.back = to, back
        self.events: list[dict[str, Any]] = []
        self.number, self.rest, self.session = 0, b"", None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Does what is asked and returns the reply."""
        self.number += 1
        words: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            words["sessionId"] = self.session
        os.write(self.to, json.dumps(words).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            message = self._next(deadline)
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)
        raise AssertionError(f"no reply to {method}")

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.back], [], [], max(0, deadline - time.monotonic()))
            assert ready, "the browser says nothing"
            piece = os.read(self.back, 1 << 16)
            assert piece, "the browser is gone"
            self.rest += piece
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def look(self, script: str) -> Any:
        """Returns what an expression of JavaScript gives."""
        reply = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def wait(self, script: str) -> None:
        """Waits until an expression of JavaScript is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.look(script):
            assert time.monotonic() < deadline, script
            time.sleep(0.1)

    def rest_now(self) -> None:
        """Waits until the page waits for nothing more."""
        self.wait("document.documentElement.getAttribute('aria-busy') === 'false'")

    def press(self, *keys: str) -> None:
        """Presses keys, one after the other."""
        for key in keys:
            code = KEYS[key]
            text = {"Enter": "\r", " ": " "}.get(key, "")
            also = {"key": key, "code": key, "windowsVirtualKeyCode": code}
            self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **also)
            self.send("Input.dispatchKeyEvent", type="keyUp", **also)

    def middle(self, selector: str) -> tuple[float, float]:
        """Scrolls to an element and returns where its middle is."""
        x, y = self.look(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center', behavior: 'instant'}); "
            "const r = e.getBoundingClientRect(); "
            "return [r.x + r.width / 2, r.y + r.height / 2] })()"
        )
        return x, y

    def click(self, selector: str) -> None:
        """Clicks the middle of an element."""
        x, y = self.middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drop(self, selector: str, file: Path) -> None:
        """Drops a file on an element."""
        x, y = self.middle(selector)
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def shot(self, file: Path) -> None:
        """Writes a picture of the whole page."""
        reply = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(reply["data"]))

    def complaints(self) -> list[Any]:
        """Returns what went wrong so far, in the console or as an exception."""
        bad = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [one["params"] for one in self.events if one.get("method") in bad]

    def asked(self) -> list[str]:
        """Returns the addresses that were asked for so far."""
        sent = (one for one in self.events if one.get("method") == "Network.requestWillBeSent")
        return [one["params"]["request"]["url"] for one in sent]


@contextmanager
def browsing(folder: Path, width: int = 1300, dark: bool = False) -> Iterator[Page]:
    """A page of a fresh browser whose downloads fall into the folder ``downloads``."""
    to_read, to_write = os.pipe()
    back_read, back_write = os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (to_read, back_write)]
    for end in (to_read, back_write):
        os.close(end)
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-c", STARTER, *map(str, ends), str(BROWSER), "--headless",
                "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
                "--disable-background-networking", f"--user-data-dir={folder / 'profile'}",
            ],
            pass_fds=ends, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    for end in ends:
        os.close(end)
    try:
        page = Page(to_write, back_read)
        downloads = folder / "downloads"
        downloads.mkdir()
        page.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        page.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.send("Emulation.setEmulatedMedia", features=[scheme])
        yield page
    finally:
        process.kill()
        process.wait()
        os.close(to_write)
        os.close(back_read)
