"""The run folder as files: what is where, and writing it so that a break leaves the old whole."""

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from hiresvae.errors import OwnError
from hiresvae.paths import aside

PART, OLD, GONE = ".part", ".old", ".gone"
"""Endings of hidden folders: being filled, to be replaced, being removed."""


@contextlib.contextmanager
def explained(what: str, where: Path) -> Iterator[None]:
    """Turns what a disk may refuse into one sentence: no space, no permission, not a folder.

    Args:
        what: what was being done, such as "writing the checkpoint".
        where: the file or folder.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        reasons = {
            errno.ENOSPC: "no space is left on the disk; free some, then run the same command",
            errno.EDQUOT: "the disk quota is used up; free some, then run the same command",
            errno.EACCES: "there is no permission to write there; choose another with --out",
            errno.EPERM: "there is no permission to write there; choose another with --out",
            errno.EROFS: "that disk is read-only; choose another with --out",
            errno.ENOTDIR: "a file stands where a folder is needed; choose another with --out",
            errno.ENOENT: "no folder can be made there; choose another with --out",
            errno.EEXIST: "a file stands where a folder is needed; choose another with --out",
            errno.EISDIR: "a folder stands where a file is needed; choose another with --out",
            errno.ENAMETOOLONG: "the name is longer than disks take; choose another with --out",
        }
        number = _system_error(error)
        if number not in reasons:
            raise
        raise OwnError(f"{what} in {where} failed: {reasons[number]}") from error


def _system_error(error: Exception) -> int | None:
    """Returns the system's error number, which safetensors and torch put into words alone."""
    if isinstance(error, OSError):
        return error.errno
    if "PytorchStreamWriter failed writing" in str(error):
        return errno.ENOSPC
    told = re.search(r"os error (\d+)", str(error))
    return int(told[1]) if told else None


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run: ``config.yaml metrics.jsonl train.log samples checkpoints model`` and so on.

    Attributes:
        path: the folder itself.
    """

    path: Path

    @property
    def config(self) -> Path:
        """Resolved settings."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """A line of JSON a tick."""
        return self.path / "metrics.jsonl"

    @property
    def log(self) -> Path:
        """What was said, with times."""
        return self.path / "train.log"

    @property
    def report(self) -> Path:
        """What was found in the data, and the key by which a later call knows them again."""
        return self.path / "data_report.json"

    @property
    def samples(self) -> Path:
        """Grids of samples, by thousands of images."""
        return self.path / "samples"

    @property
    def reconstructions(self) -> Path:
        """Grids of pictures and their reconstructions."""
        return self.path / "reconstructions"

    @property
    def checkpoints(self) -> Path:
        """Training states, the last two."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """What sampling needs, and nothing else."""
        return self.path / "model"

    @property
    def model_best(self) -> Path:
        """The same of the snapshot whose samples were nearest to held-out pictures."""
        return self.path / "model_best"

    @property
    def scores(self) -> Path:
        """A line of JSON a snapshot: how near its samples were."""
        return self.path / "scores.jsonl"

    @property
    def rungs(self) -> Path:
        """What each rung of a ladder carries over time, drawn at snapshots."""
        return self.path / "rungs.png"

    def create(self) -> None:
        """Makes the folder and tries to write in it, before anything long begins."""
        with explained("writing", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".probe"
            probe.write_text("")
            probe.unlink()

    def mend(self) -> None:
        """Puts right what a kill amid a save left of checkpoints and models: see `mend`."""
        with explained("mending", self.path):
            for path in (self.model, self.model_best):
                mend(self.path, path.name)
            mend(self.checkpoints)

    def clear(self) -> None:
        """Removes what an earlier run left, and nothing that is not a run's."""
        with explained("clearing", self.path):
            folders = (self.samples, self.reconstructions, self.checkpoints)
            for path in (*folders, self.model, self.model_best):
                _remove(path)
            files = (self.config, self.metrics, self.scores, self.log, self.report, self.rungs)
            for path in files:
                path.unlink(missing_ok=True)


def _remove(folder: Path, *, ignore_errors: bool = False) -> None:
    """Removes a folder, if there is one; of a link the link alone."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder, ignore_errors)


def write_whole(path: Path, text: str) -> None:
    """Writes a text file aside and renames it, so that readers find the old or the new."""
    with explained("writing", path), aside(path) as file:
        file.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file as `write_whole` does; numbers that are not finite have no place in it."""
    write_whole(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


class _Alone:
    """One process: what `written_aside` needs to know of the others."""

    is_main_process = True

    def wait_for_everyone(self) -> None:
        """Nobody to wait for."""


@contextlib.contextmanager
def written_aside(path: Path, processes: Any = None) -> Iterator[Path]:
    """Gives a folder to fill; on success it takes the place of ``path``, else it vanishes.

    Args:
        path: the folder that shall appear.
        processes: of several that fill it together, an object with ``is_main_process`` and
            ``wait_for_everyone`` such as an Accelerator; None for one.
    """
    processes = processes or _Alone()
    new, old = (path.with_name(f".{path.name}{ending}") for ending in (PART, OLD))
    with explained("writing", path):
        if processes.is_main_process:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
        processes.wait_for_everyone()
        try:
            yield new
            processes.wait_for_everyone()
            if processes.is_main_process:
                _to_disk(new)
                if path.exists():
                    _remove(old, ignore_errors=True)
                    path.rename(old)
                new.rename(path)
                _remove(old, ignore_errors=True)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            if old.exists() and not path.exists():
                old.rename(path)
            raise
        processes.wait_for_everyone()


def mend(folder: Path, names: str = "[0-9]*") -> None:
    """Puts right what a process killed in `written_aside`, or while it removed, left in a folder.

    The old goes back to its name where no new one came; what is half there is removed.

    Args:
        folder: in which nobody writes just now.
        names: pattern of the folders that were written in it; unless told, of checkpoints.
    """
    for old in folder.glob(f".{names}{OLD}"):
        path = old.with_name(old.name[1 : -len(OLD)])
        if not path.exists():
            old.rename(path)
    for ending in (OLD, PART, GONE):
        for left in folder.glob(f".{names}{ending}"):
            _remove(left, ignore_errors=True)


def _to_disk(folder: Path) -> None:
    """Makes sure that the files' content is on the disk before a rename says that it is."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())


class MetricsFile:
    """``metrics.jsonl``: one JSON object a line, appended; names carry their units."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rewind(self, images: int) -> None:
        """Drops lines beyond so many images, and a half-written last one: they come again."""
        if self.path.exists():
            kept = [line for line in self.read() if line["images"] <= images]
            write_whole(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def append(self, line: dict[str, Any]) -> None:
        """Adds one line."""
        with explained("writing", self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """Returns all whole lines; what a power cut or a bad disk left between them is no line."""
        lines = []
        for text in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                line = json.loads(text)
                if isinstance(line, dict) and isinstance(line.get("images"), int):
                    lines.append(line)
        return lines
