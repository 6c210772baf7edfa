"""Trains one model of another package for some seconds and keeps samples of it on the way.

Runs in that package's own environment and needs torch, numpy and the package alone; what each
package does is in `peer_packages`. The seconds are of training: neither of starting up nor of
drawing samples, which are told beside them. Marks that are finished are not made again; of a
training that was broken off the same command begins anew, since not all packages can continue.

Usage:
    python benchmarks/peer.py pythae_vae --pictures train.npy --marks 300,900 --out DIR
"""

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command_line import parser_of
from torch import Tensor, nn

ABSENT = "absent.json"
BATCH = 64
"""Pictures that are drawn at a time."""


class AbsentError(Exception):
    """Says why a package cannot be run here."""


class OverError(Exception):
    """Ends a training from within when its last mark is kept."""


@dataclass(frozen=True)
class Task:
    """What a package is given.

    Attributes:
        pictures: uint8 ``(N, 3, S, S)``.
        seconds: of training in all.
        folder: for whatever it writes; empty at the start, removed at the end.
        options: of the package, such as a width, in place of those chosen here.
        seed: of the training.
    """

    pictures: np.ndarray
    seconds: float
    folder: Path
    options: dict[str, Any]
    seed: int

    @property
    def side(self) -> int:
        """Height and width of the pictures."""
        return int(self.pictures.shape[-1])

    @property
    def device(self) -> str:
        """Where all of them train: on the accelerator if there is one."""
        return "cuda" if torch.cuda.is_available() else "cpu"

    def floats(self) -> Tensor:
        """Returns all pictures, float32 in [0, 1]."""
        return torch.from_numpy(self.pictures).float() / 255

    def option(self, name: str, default: Any) -> Any:
        """Returns an option, or what it is by default."""
        return self.options.get(name, default)

    def as_files(self) -> Path:
        """Returns a folder with the pictures as PNG files, for packages that read folders."""
        from PIL import Image

        folder = self.folder / "pictures"
        folder.mkdir(parents=True)
        for number, picture in enumerate(self.pictures):
            Image.fromarray(picture.transpose(1, 2, 0)).save(folder / f"{number:06d}.png")
        return folder


@dataclass
class Watch:
    """Counts the seconds of a training and has samples drawn at its marks.

    Attributes:
        marks: seconds after which samples are kept, in order; of all but the last those that are
            kept already are left out.
        samples: pictures of each.
        seed: of the samples.
        keep: (mark, samples, facts) -> writes them.
        attached: whether the training ends with the process that started this one.
    """

    marks: list[float]
    samples: int
    seed: int
    keep: Callable[[float, np.ndarray, dict[str, Any]], None]
    attached: bool = False
    images: int = 0
    steps: int = 0

    def __post_init__(self) -> None:
        self.made, self.parent = time.monotonic(), os.getppid()
        self.facts: dict[str, Any] = {}

    def begin(
        self, network: nn.Module, draw: Callable[[int], Tensor], batch: int, lr: float, **facts: Any
    ) -> None:
        """Starts the clock; to be called just before the first step.

        Args:
            network: all that is trained to make samples; put into evaluation to draw.
            draw: count -> new pictures in [0, 1] ``(count, 3, S, S)``.
            batch: pictures of a step.
            lr: rate of learning.
            facts: whatever else is worth telling.
        """
        self.network, self.draw = network, draw
        self.facts = {
            "parameters": sum(p.numel() for p in network.parameters()),
            "batch": batch,
            "lr": lr,
            "start_up_seconds": round(time.monotonic() - self.made, 2),
            **facts,
        }
        self.begun = time.monotonic()

    def seconds(self) -> float:
        """Returns the seconds of training so far."""
        return time.monotonic() - self.begun

    def step(self, images: int) -> None:
        """Counts a step; draws samples where a mark is reached.

        Args:
            images: that the step saw.

        Raises:
            OverError: the last mark is kept.
        """
        self.images += images
        self.steps += 1
        if self.attached and os.getppid() != self.parent:
            raise SystemExit("nobody waits for this any more")
        if self.seconds() < self.marks[0]:
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # the clock must not run ahead of the device
        trained = self.seconds()
        paused = time.monotonic()
        while self.marks and trained >= self.marks[0]:
            self._mark(self.marks.pop(0), trained)
        if not self.marks:
            raise OverError
        self.begun += time.monotonic() - paused

    def _mark(self, mark: float, trained: float) -> None:
        drawn = time.monotonic()
        modes = [(part, part.training) for part in self.network.modules()]
        self.network.eval()
        # Drawing must not change how the training goes on.
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(self.seed)
            made = self.draw(self.samples)
        for part, mode in modes:
            part.training = mode
        if not torch.isfinite(made).all():
            raise FloatingPointError("its samples are not finite")
        pictures = made.float().mul(255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        facts = {
            "seconds": round(trained, 2),
            "images": self.images,
            "steps": self.steps,
            "images_per_second": round(self.images / trained, 3),
            "sampling_seconds": round(time.monotonic() - drawn, 2),
            **self.facts,
        }
        self.keep(mark, pictures, facts)


def in_batches(count: int, draw: Callable[[int], Tensor], batch: int = BATCH) -> Tensor:
    """Returns pictures that are drawn some at a time, on the CPU."""
    sizes = [min(batch, count - first) for first in range(0, count, batch)]
    return torch.cat([draw(size).cpu() for size in sizes])


def keep_mark(folder: Path, mark: float, pictures: np.ndarray, facts: dict[str, Any]) -> None:
    """Writes samples uint8 ``(N, C, S, S)``, then what is known of them: whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    array, told = mark_files(folder, mark)
    aside = array.with_name(f".{array.name}.part")
    with aside.open("wb") as file:
        np.save(file, pictures)
    aside.replace(array)
    _write_json(told, facts)


def mark_files(folder: Path, mark: float) -> tuple[Path, Path]:
    """Returns the files of samples and of facts of a mark."""
    return folder / f"{mark:g}.npy", folder / f"{mark:g}.json"


def kept(folder: Path, mark: float, asked: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the facts of a mark that is finished and answers the same question, else None."""
    array, told = mark_files(folder, mark)
    try:
        facts: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if array.is_file() and facts.get("asked") == asked else None


def question(name: str, pictures: Path, marks: Sequence[float], **chosen: Any) -> dict[str, Any]:
    """Returns what samples depend on; the arguments are those of `run`."""
    asked = {"peer": name, "pictures": digest(pictures), "seconds": max(marks), **chosen}
    if name.endswith(".py") and Path(name).is_file():
        asked["file"] = digest(Path(name))
    return asked


def digest(file: Path) -> str:
    """Returns the SHA-256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def versions(*packages: str) -> dict[str, str]:
    """Returns the versions of Python, torch and some packages that are installed."""
    found = {"python": platform.python_version()}
    for package in ("torch", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def run(
    name: str,
    pictures: Path,
    marks: Sequence[float],
    out: Path,
    *,
    attached: bool = False,
    **chosen: Any,
) -> None:
    """Trains a package's model and keeps what it makes at each mark.

    Args:
        name: one of `peer_packages.PEERS`, or a Python file with ``train(task, watch)``.
        pictures: uint8 ``(N, 3, S, S)`` as .npy.
        marks: seconds of training; the last is its end.
        out: folder of the samples.
        attached: as in `Watch`.
        chosen: ``samples``, ``options`` and ``seed``.

    Raises:
        AbsentError: it cannot be run here.
    """
    from peer_packages import PEERS

    marks = sorted(set(marks))
    asked = question(name, pictures, marks, **chosen)
    wanted = [mark for mark in marks if kept(out, mark, asked) is None]
    if not wanted:
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    common = {"device": device, "threads": torch.get_num_threads(), "asked": asked}

    def keep(mark: float, made: np.ndarray, facts: dict[str, Any]) -> None:
        if made.shape[1:] != task.pictures.shape[1:]:
            drawn, given = (" x ".join(map(str, x.shape[1:])) for x in (made, task.pictures))
            raise AbsentError(f"its samples are {drawn}, the pictures it was given {given}")
        keep_mark(out, mark, made, {**facts, **common})
        print(f"{name}: {mark:g} s kept", flush=True)

    scratch = out / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)  # of a training that was killed
    scratch.mkdir(parents=True)
    torch.manual_seed(chosen["seed"])
    np.random.seed(chosen["seed"])
    watch = Watch(wanted, chosen["samples"], chosen["seed"], keep, attached)
    train = _of_file(Path(name)) if name.endswith(".py") else PEERS[name].train
    task = Task(np.load(pictures), marks[-1], scratch, chosen["options"], chosen["seed"])
    try:
        train(task, watch)
    except OverError:
        return
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    raise AbsentError(f"its training ended by itself after {watch.seconds():.0f} s")


def _of_file(path: Path) -> Callable[[Task, Watch], None]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise AbsentError(f"{path} is not there")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    train: Callable[[Task, Watch], None] = module.train
    return train


def _write_json(path: Path, content: dict[str, Any]) -> None:
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    aside.replace(path)


def main(words: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for; 3 where it cannot be, with the reason in a file."""
    parser = parser_of(__doc__)
    add = parser.add_argument
    add("name", help="of the peer, or a Python file with train(task, watch)")
    add("--pictures", type=Path, required=True, help="uint8 (N, 3, S, S) as .npy")
    add("--marks", required=True, help="seconds of training with commas between; the last ends it")
    add("--samples", type=int, default=500, help="pictures at each mark")
    add("--options", type=json.loads, default={}, help="of the package, as JSON")
    add("--seed", type=int, default=0)
    add("--out", type=Path, required=True, help="folder of the samples")
    add("--attached", action="store_true", help="end with the process that started this")
    chosen = parser.parse_args(words)
    chosen.out.mkdir(parents=True, exist_ok=True)
    absent = chosen.out / ABSENT
    absent.unlink(missing_ok=True)
    marks = [float(mark) for mark in chosen.marks.split(",")]
    some = {"samples": chosen.samples, "options": chosen.options, "seed": chosen.seed}
    try:
        run(chosen.name, chosen.pictures, marks, chosen.out, attached=chosen.attached, **some)
    except AbsentError as reason:
        _write_json(absent, {"reason": str(reason)})
        print(reason, flush=True)
        return 3
    except Exception as error:
        words_of = " ".join(str(error).split())[:300]
        _write_json(absent, {"reason": f"it broke off: {type(error).__name__}: {words_of}"})
        raise
    return 0


if __name__ == "__main__":
    # Adapters import this module by its name: let it be one module, not two.
    sys.modules["peer"] = sys.modules["__main__"]
    # What is killed with it must not be waited for, such as readers of pictures.
    code = main()
    sys.stdout.flush()
    os._exit(code)
