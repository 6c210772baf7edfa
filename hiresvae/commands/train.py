"""``hiresvae train``: settings and data in, a run folder out."""

import contextlib
import json
import logging
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiresvae.checks import cautions, check, split_cautions
from hiresvae.configuration import dump_settings, load_settings
from hiresvae.errors import Terminated, UserError, enough_memory, printable
from hiresvae.pyramid import nearest_sizes
from hiresvae.run import RunFolder, explained, write_whole
from hiresvae.settings import Settings

if TYPE_CHECKING:
    from hiresvae.data import PictureData
    from hiresvae.training.trainer import Outcome

log = logging.getLogger("hiresvae")

# How long processes wait for one: it may decode or download a large collection. One that died is
# noticed by its closed connection, or by the launcher.
PATIENCE = timedelta(days=2)

# What may change between two calls of the same command without being another run.
_FREE: Any = {
    "name": True,
    "data": {"cache": True, "device_cache": True},
    "training": {
        "images", "tick", "snapshot", "checkpoint", "trackers",
        # The same steps with less memory, as is advised where it ran out.
        "gradient_checkpointing",
    },
    "metrics": True,
}  # fmt: skip


def train(
    config: str | Path,
    overrides: Any = None,
    *,
    out: str | Path | None = None,
    dry_run: bool = False,
    fresh: bool = False,
    device: str | None = None,
) -> Path:
    """Trains and returns the run folder; called again, continues.

    Args:
        config: YAML file.
        overrides: ``{"data.size": 64}`` or ``["data.size=64"]``.
        out: run folder; None is ``runs/NAME``.
        dry_run: only print settings, parameters, memory and expected time.
        fresh: forget what an earlier run left in the folder, once the data could be opened.
        device: such as "cpu" or "cuda"; None takes what Accelerate finds.

    Raises:
        UserError: a mistake in the settings, the data or the folder.
    """
    settings = load_settings(config, overrides or [])
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    check(settings, processes=processes)
    run = RunFolder(Path(out or Path("runs") / settings.name))
    with enough_memory(less_memory(settings, processes)):
        from hiresvae.devices import flushing_denormals, shortened_products, use_all_cores

        use_all_cores(processes)
        with flushing_denormals():
            if dry_run:
                from hiresvae.commands.dry_run import describe

                print("\n".join((describe(settings), *cautions(settings, processes))))
                return run.path
            accelerator = _accelerator(settings, run, device, processes)
            data = _opened(settings, run, accelerator, fresh)
            with shortened_products(accelerator.device):
                outcome = _trained(settings, data, run, accelerator)
    if not outcome.finished:
        log.info(
            "stopped at %s images, state saved; the same command continues",
            f"{outcome.images_seen:,}",
        )
        told = Terminated if outcome.signal == signal.SIGTERM else KeyboardInterrupt
        raise told("state saved")
    if accelerator.is_main_process:
        log.info("done: %s; draw pictures with: hiresvae sample %s", run.path, run.path)
    return run.path


def less_memory(settings: Settings, processes: int) -> str:
    """Returns the nearest settings that need less memory, in words; what costs least goes first."""
    from hiresvae.devices import usable_kinds  # torch is not imported for a mistake in words

    training, data = settings.training, settings.data
    share = processes * training.accumulation
    parts = training.model_copy(update={"accumulation": 2 * training.accumulation})
    same = not split_cautions(settings.model_copy(update={"training": parts}), processes)
    in_parts = "the same result, a batch in parts" if same else "a batch in parts"
    changes: list[tuple[str, Any, str]] = [
        ("training.accumulation", parts.accumulation, in_parts),
        ("training.gradient_checkpointing", True, "the same result in up to a third more time"),
    ]
    if data.device_cache is True or "cuda" in usable_kinds():
        free = ("data.device_cache", False, "the same result, pictures are read as they are needed")
        changes.insert(0, free)
    if training.precision == "no":
        changes.append(("training.precision", "bf16", "nearly the same result"))
    if smaller := training.batch_size // 2 // share * share:
        changes.append(("training.batch_size", smaller, f"instead of {training.batch_size}"))
    sizes = [side for side in nearest_sizes(data.size) if 8 <= side < data.size]
    changes += [("data.size", side, f"instead of {data.size}") for side in sizes[:1]]
    ways = [
        f"{key} {str(value).lower()} ({why})"
        for key, value, why in changes
        if _possible(settings, key, value, processes)
    ]
    ways.append("a smaller model (hiresvae train CONFIG --dry-run estimates its memory)")
    return ", or ".join(ways)


def _possible(settings: Settings, key: str, value: Any, processes: int) -> bool:
    """Whether the same run could be of this value, which it is not."""
    name, field = key.split(".")
    section = getattr(settings, name)
    if getattr(section, field) == value:
        return False
    changed = section.model_copy(update={field: value})
    try:
        check(settings.model_copy(update={name: changed}), processes=processes)
    except UserError:
        return False
    return True


def _opened(settings: Settings, run: RunFolder, accelerator: Any, fresh: bool) -> "PictureData":
    """Returns the data; what an earlier run left is touched only when all of it could be opened."""
    main = accelerator.is_main_process
    with accelerator.main_process_first():
        if main:
            run.create()
            if not fresh:
                _same_run(settings, run, accelerator.num_processes)
                run.mend()
        from hiresvae.data import open_data
        from hiresvae.uses.processes import refuse_other_pictures

        # One process decodes, the others then find the store.
        data = open_data(settings.data, inputs=settings.inputs, progress=main)
        if main and not fresh:
            _same_data(data, run)
    refuse_other_pictures(data)
    if main:
        if fresh:
            run.mend()
            run.clear()
        _log_to(run)
        write_whole(run.report, data.report.to_json() + "\n")
        write_whole(run.config, dump_settings(settings))
        for line in data.describe().splitlines():
            log.info("%s", line)
    accelerator.wait_for_everyone()
    return data


def _trained(
    settings: Settings, data: "PictureData", run: RunFolder, accelerator: Any
) -> "Outcome":
    from hiresvae.training.trainer import Trainer

    if settings.training.trackers and accelerator.is_main_process:
        accelerator.init_trackers(settings.name)
    trainer = Trainer(settings, data, run, accelerator)
    trainer.resume()
    if accelerator.is_main_process:
        parameters = sum(p.numel() for p in trainer.vae.parameters())
        log.info(
            "training %s to %s images on %s (%s process%s), model of %s parameters",
            settings.name,
            f"{settings.training.images:,}",
            accelerator.device.type,
            accelerator.num_processes,
            "es" if accelerator.num_processes > 1 else "",
            f"{parameters:,}",
        )
        for words in cautions(settings, accelerator.num_processes):
            log.warning("%s", words)
    outcome = trainer.fit()
    accelerator.end_training()
    return outcome


def _accelerator(settings: Settings, run: RunFolder, device: str | None, processes: int) -> Any:
    import torch
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import InitProcessGroupKwargs

    from hiresvae.devices import usable_kinds

    kind = None if device is None else _kind_of(device, processes)
    precision = settings.training.precision
    if precision == "fp16" and not (torch.cuda.is_available() and kind in (None, "cuda")):
        raise UserError(
            "training.precision 'fp16' needs a GPU and none was found; use 'bf16' or 'no'"
        )
    trackers = list(settings.training.trackers)
    missing = [name for name in trackers if not _importable(name)]
    if missing:
        raise UserError(
            f"training.trackers {missing[0]!r} is not installed; pip install 'hiresvae[tracking]'"
        )
    # Several processes without a GPU know of one another only where the CPU is asked for.
    without = kind is None and processes > 1 and usable_kinds() == ["cpu"]
    # Accelerate holds the first precision of a Python for ever, which may train more than once.
    if processes == 1 and AcceleratorState._shared_state.get("_mixed_precision") != precision:
        AcceleratorState._reset_state()
    accelerator = Accelerator(
        cpu=kind == "cpu" or without,
        mixed_precision=precision,
        log_with=trackers or None,
        project_dir=str(run.path) if trackers else None,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
    if kind not in (None, accelerator.device.type):
        raise UserError(
            f"--device {device!r}: Accelerate trains on {accelerator.device.type!r} here; valid "
            f"are {accelerator.device.type!r} and 'cpu'"
        )
    if accelerator.num_processes != processes:
        raise UserError(
            f"{processes} processes were started (WORLD_SIZE), but on {accelerator.device.type!r} "
            f"Accelerate trains {accelerator.num_processes} together; nearest valid: --device cpu"
        )
    return accelerator


def _kind_of(device: str, processes: int) -> str:
    """Returns the kind of a device, such as "cuda"; of several GPUs it becomes the current one."""
    import torch

    from hiresvae.devices import choose_device

    chosen = choose_device(device)
    if chosen.type == "cuda" and chosen.index is not None:
        if processes > 1:
            raise UserError(
                f"--device {device!r}: of {processes} processes each has a GPU of its own; nearest "
                "valid: 'cuda'"
            )
        torch.cuda.set_device(chosen)
    return chosen.type


def _importable(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


class _Printable(logging.Formatter):
    """Names of files and labels are shown, and never obeyed by a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class _RunLog(logging.FileHandler):
    """``train.log``. A full disk costs lines of it and one sentence, not a traceback a line."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._told:
            self._told = True
            words = error.strerror or error
            print(f"hiresvae: {self.baseFilename} cannot be written ({words})", file=sys.stderr)


def _log_to(run: RunFolder) -> None:
    """Sends what is said to stderr and to ``train.log``."""
    log.setLevel(logging.INFO)
    log.propagate = False
    for old in list(log.handlers):
        log.removeHandler(old)
        with contextlib.suppress(OSError):  # what a full disk did not take
            old.close()
    with explained("writing", run.log):
        file = _RunLog(run.log)
    file.setFormatter(_Printable("%(asctime)s %(message)s"))
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(_Printable("%(message)s"))
    log.addHandler(file)
    log.addHandler(console)


def _same_run(settings: Settings, run: RunFolder, processes: int) -> None:
    """Refuses to continue a run with settings that make it another one.

    A batch in more parts is the same but to a critic whose groups they would split.
    """
    if not run.config.exists():
        return
    try:
        before = load_settings(run.config, [])
    except UserError as error:
        raise UserError(f"{error}; add --fresh to start again") from error
    old, new = (chosen.model_dump(exclude=_FREE) for chosen in (before, settings))
    apart = any(split_cautions(one, processes) for one in (before, settings))
    for key, was, now in _differences(old, new):
        if key == "training.accumulation" and not apart:
            continue
        raise UserError(
            f"{run.path} holds a run with {key} {was!r}, the settings now say {now!r}; choose "
            f"another folder with --out, or add --fresh to start again"
        )


def _same_data(data: "PictureData", run: RunFolder) -> None:
    """Refuses to continue a run on other pictures than it began with."""
    if not any(run.checkpoints.glob("[0-9]*")):
        return
    try:
        before = json.loads(run.report.read_text(encoding="utf-8"))
        key, count = str(before["key"]), int(before["used"])
    except (OSError, ValueError, LookupError, TypeError):
        return  # of a version that did not keep the key
    if key != data.key:
        raise UserError(
            f"{run.path} holds a run on other pictures: {data.report.source!r} has changed since "
            f"({count} then, {data.report.used} now); choose another folder with --out, or add "
            "--fresh to start again"
        )


def _differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Returns ``(dotted key, old value, new value)`` wherever two trees of settings differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in old | new:
            found += _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
        return found
    return [] if old == new else [(path, old, new)]
