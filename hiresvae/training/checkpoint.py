"""Training states on disk: whole or absent, checked before they are read, few of them kept."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from hiresvae.errors import UserError, is_out_of_memory
from hiresvae.run import GONE, mend, written_aside
from hiresvae.training.guard import Guard, is_good
from hiresvae.training.schedule import Schedule

KEPT = 2
"""Last checkpoints that are kept, and last good ones: a training in trouble goes back to these."""
MANIFEST = "manifest.json"
LATER: dict[str, Callable[[Any], nn.Module]] = {
    "guard": lambda known: Guard(known.settings),
    "schedule": lambda known: Schedule(known.images),
}
"""Modules that checkpoints of older versions lack, which then begin anew."""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _name(images: int) -> str:
    return f"{images:09d}"


def save(
    accelerator: Accelerator, folder: Path, images: int, beside: Mapping[str, nn.Module]
) -> None:
    """Writes the state of everything that was prepared, and of modules beside it.

    Every process takes part. The state is written aside with a manifest of hashes and renamed, so
    that a break at any moment leaves the last one as it was; then older ones are dropped, but for
    the last ones that were written at peace.

    Args:
        accelerator: knows the networks and the optimisers.
        folder: of all checkpoints of the run.
        images: images seen; the state's name.
        beside: modules that are the same on every process, by the name of their file.
    """
    with written_aside(folder / _name(images), accelerator) as aside:
        accelerator.save_state(str(aside))
        if accelerator.is_main_process:
            for name, module in beside.items():
                tensors = {k: v.contiguous() for k, v in module.state_dict().items()}
                save_file(tensors, aside / f"{name}.safetensors")
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            files = sorted(path for path in aside.rglob("*") if path.is_file())
            manifest = {str(path.relative_to(aside)): _digest(path) for path in files}
            (aside / MANIFEST).write_text(json.dumps({"images": images, "sha256": manifest}))
    if accelerator.is_main_process:
        present = saved(folder)
        good = [path for path in present if is_good(path)]
        mend(folder)
        for old in set(present) - {*present[-KEPT:], *good[-KEPT:]}:
            _remove(old)
    accelerator.wait_for_everyone()


def _remove(path: Path) -> None:
    """Removes a checkpoint; a break leaves it whole, or under a name that nobody reads."""
    gone = path.with_name(f".{path.name}{GONE}")
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def saved(folder: Path) -> list[Path]:
    """Returns all checkpoints of a run, oldest first."""
    return sorted(path for path in folder.glob("[0-9]*") if path.is_dir())


def drop_after(accelerator: Accelerator, folder: Path, images: int) -> None:
    """Removes checkpoints of more images, newest first: what led astray is not continued from."""
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        for path in reversed(saved(folder)):
            if int(path.name) > images:
                _remove(path)
    accelerator.wait_for_everyone()


def latest(folder: Path) -> Path | None:
    """Returns the newest checkpoint of a run, or None."""
    found = saved(folder)
    return found[-1] if found else None


def load(accelerator: Accelerator, path: Path, beside: Mapping[str, nn.Module]) -> int:
    """Reads a checkpoint into everything prepared and beside it; returns the images seen.

    Raises:
        UserError: a file is missing, damaged or of another model; nothing on disk is changed.
    """
    older = [other for other in path.parent.glob("[0-9]*") if other.name < path.name]
    way_out = (
        f"remove that folder to continue from {max(older).name}, or add --fresh to start again"
        if older
        else "add --fresh to start again"
    )
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        hashes, images = dict(manifest["sha256"]), int(manifest["images"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError, OverflowError) as error:
        raise UserError(f"checkpoint {path} has no readable {MANIFEST}; {way_out}") from error
    for name, expected in hashes.items():
        file = path / name
        if not file.is_file() or _digest(file) != expected:
            raise UserError(f"checkpoint {path} is damaged: {name} is missing or cut; {way_out}")
    try:
        accelerator.load_state(str(path))
        for name, module in beside.items():
            if name in LATER and f"{name}.safetensors" not in hashes:
                module.load_state_dict(LATER[name](module).state_dict())
            else:
                module.load_state_dict(load_file(path / f"{name}.safetensors"))
    except (
        UnpicklingError,
        SafetensorError,
    ) as error:  # torch reads numbers alone, and refuses whatever would run
        raise UserError(
            f"checkpoint {path} is damaged: a file in it is no training state; {way_out}"
        ) from error
    except (RuntimeError, ValueError, LookupError, OSError, EOFError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        words = " ".join(str(error).split())[:200]
        raise UserError(f"checkpoint {path} is of another model ({words}); {way_out}") from error
    return images
