"""Scripts of this folder that run in another package's own environment."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from peer import ABSENT

FOLDER = Path(__file__).resolve().parent


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
    place, log, absent = dict(os.environ), folder / "log.txt", folder / ABSENT
    # What both sides share of the package needs torch alone.
    own = place.get("PYTHONPATH", "")
    place["PYTHONPATH"] = os.pathsep.join(filter(None, (str(FOLDER.parent), own)))
    if device == "cpu":
        place["CUDA_VISIBLE_DEVICES"] = ""
    absent.unlink(missing_ok=True)
    try:
        with log.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(
                [python, str(FOLDER / script), *words],
                stdout=file, stderr=subprocess.STDOUT, env=place,
            )  # fmt: skip
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
    return f"it ended with code {code}: {_last_line(log)}" if code else None


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it said nothing")
