"""Scripts of this folder that run in another package's own environment."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peer import ABSENT

FOLDER = Path(__file__).resolve().parent
LOG = "log.txt"


def worked(
    python: str, script: str, words: Sequence[str], folder: Path, device: str | None
) -> str | None:
    """Runs a script to its end and returns why it could not reach it, or None.

    Args:
        python: interpreter of the environment.
        script: of this folder; where it cannot be run it says why in ``folder / ABSENT``.
        words: its arguments.
        folder: where it writes; ``log.txt`` has what it said.
        device: "cpu" hides all others from it.
    """
    absent = folder / ABSENT
    absent.unlink(missing_ok=True)
    try:
        with (folder / LOG).open("w", encoding="utf-8") as file:
            process = _started(python, script, words, device, stdout=file, stderr=file)
    except OSError as error:
        return f"{python} cannot be started: {error.strerror}"
    try:
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if absent.is_file():
        reason: str = json.loads(absent.read_text(encoding="utf-8"))["reason"]
        return reason
    return _ended(code, folder) if code else None


class Worker:
    """A script that waits for what it is asked, and works on nothing until then.

    Args:
        python: interpreter of the environment.
        script: of this folder, which ends in `serve`.
        words: its arguments.
        folder: ``log.txt`` in it has what it said.
        device: "cpu" hides all others from it.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self, python: str, script: str, words: Sequence[str], folder: Path, device: str | None
    ) -> None:
        self._folder = folder
        with (folder / LOG).open("w", encoding="utf-8") as file:
            self._process = _started(
                python, script, words, device,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True,
            )  # fmt: skip

    def ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Returns its answer; has it died, the ``reason``."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            return {"reason": _ended(self._process.wait(), self._folder)}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.communicate()


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answers a `Worker` until it asks no more; what anybody else prints goes to the log."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


def _started(
    python: str, script: str, words: Sequence[str], device: str | None, **pipes: Any
) -> subprocess.Popen[Any]:
    place = dict(os.environ)
    # What both sides share of the package needs torch alone.
    own = place.get("PYTHONPATH", "")
    place["PYTHONPATH"] = os.pathsep.join(filter(None, (str(FOLDER.parent), own)))
    if device == "cpu":
        place["CUDA_VISIBLE_DEVICES"] = ""
    return subprocess.Popen([python, str(FOLDER / script), *words], env=place, **pipes)


def _ended(code: int, folder: Path) -> str:
    lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").split("\n")
    said = next((x.strip()[:300] for x in reversed(lines) if x.strip()), "it said nothing")
    return f"it ended with code {code}: {said}"
