"""Verified downloads: resumed where they broke off, checked, and complete or not there at all."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path

from filelock import FileLock

from hiresvae.data.progress import bar
from hiresvae.errors import UserError

ATTEMPTS = 4
PAUSE = 0.5
"""Seconds before the second attempt; each further wait is twice as long."""
PIECE = 1 << 18


class UnreachableError(Exception):
    """The file could not be had from the network; the message says what went wrong."""


def fetch(url: str, path: Path, *, sha256: str | None = None, progress: bool = True) -> Path:
    """Returns ``path`` once the file at ``url`` lies there, complete and verified.

    A download that breaks off is continued with a Range request, also by a later call. The hash is
    kept beside the file (``NAME.sha256``): where none is known beforehand, the first download
    pins it for later ones.

    Args:
        url: http or https.
        path: where the file goes; renamed into place when it is whole.
        sha256: 64 hexadecimal digits; None if unknown.
        progress: show a bar on stderr, if that is a terminal.

    Raises:
        UserError: the file does not have the hash; it is removed.
        UnreachableError: no network, no such file, or it kept breaking off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stamp = path.with_name(path.name + ".sha256")
    with FileLock(path.with_name(path.name + ".lock")):
        pinned = stamp.read_text().split()[0] if stamp.exists() else None
        if path.exists() and pinned and pinned == (sha256 or pinned):
            return path
        if not path.exists():
            part = path.with_name(path.name + ".part")
            _download(url, part, progress)
            part.replace(path)
        found = _sha256(path)
        if found != (sha256 or pinned or found):
            path.unlink()
            raise UserError(
                f"{path.name} from {url} is not the file it should be (SHA-256 {found}, expected "
                f"{sha256 or pinned}); it has been removed, try again or fetch it by hand"
            )
        stamp.write_text(f"{found}  {path.name}\n")
    return path


def discard(path: Path) -> None:
    """Removes a fetched file with its pinned hash, so that the next call fetches it anew."""
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".sha256").unlink(missing_ok=True)


def _download(url: str, part: Path, progress: bool) -> None:
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            return _continue(url, part, before, progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # what lies here is longer than the file: begin again
                part.unlink()
            elif error.code < 500:
                raise UnreachableError(f"{url} answers {error.code} {error.reason}") from error
            reason: Exception = error
        except (OSError, http.client.HTTPException) as error:
            reason = error
        if not part.exists() or part.stat().st_size <= before:
            failures += 1
        if failures == ATTEMPTS:
            raise UnreachableError(f"{url}: {getattr(reason, 'reason', reason)}") from reason
        time.sleep(PAUSE * 2**failures / 2)


def _continue(url: str, part: Path, start: int, progress: bool) -> None:
    """Appends what is missing; raises ConnectionError when the server stops too early."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        if answer.status != 206:  # the server sends the whole file again
            start = 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        with part.open("ab" if start else "wb") as file, bar(progress) as bars:
            task = bars.add_task(f"downloading {part.stem}", total=total, completed=start)
            while piece := answer.read(PIECE):
                file.write(piece)
                bars.advance(task, len(piece))
        if total is not None and part.stat().st_size < total:
            raise ConnectionError("the connection broke off")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
