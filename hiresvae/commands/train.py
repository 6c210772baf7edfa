"""``hiresvae train``: settings and data in, a run folder out."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

from hiresvae.checks import check
from hiresvae.configuration import dump_settings, load_settings
from hiresvae.errors import UserError
from hiresvae.run import RunFolder, explained, write_whole
from hiresvae.settings import Settings

log = logging.getLogger("hiresvae")

# What may change between two calls of the same command without being another run.
_FREE: Any = {
    "name": True,
    "data": {"cache": True, "device_cache": True},
    "training": {"images", "tick", "snapshot", "checkpoint", "trackers"},
    "metrics": True,
}


def train(
    config: str | Path,
    overrides: Any = None,
    *,
    out: str | Path | None = None,
    dry_run: bool = False,
    fresh: bool = False,
) -> Path:
    """Trains and returns the run folder; called again, continues.

    Args:
        config: YAML file.
        overrides: ``{"data.size": 64}`` or ``["data.size=64"]``.
        out: run folder; None is ``runs/NAME``.
        dry_run: only print settings, parameters, memory and expected time.
        fresh: forget what an earlier run left in the folder.

    Raises:
        UserError: a mistake in the settings, the data or the folder.
    """
    settings = load_settings(config, overrides or [])
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    check(settings, processes=processes)
    if dry_run:
        from hiresvae.commands.dry_run import describe

        print(describe(settings))
        return Path(out or Path("runs") / settings.name)
    run = RunFolder(Path(out or Path("runs") / settings.name))
    accelerator = _accelerator(settings, run)
    with accelerator.main_process_first():
        if accelerator.is_main_process:
            run.create()
            if fresh:
                run.clear()
            _log_to(run)
            _same_run(settings, run)
        from hiresvae.data import open_data

        # One process decodes, the others then find the store.
        data = open_data(
            settings.data,
            inputs=settings.inputs,
            seed=settings.seed,
            report_to=run.path if accelerator.is_main_process else None,
            progress=accelerator.is_main_process,
        )
    if accelerator.is_main_process:
        write_whole(run.config, dump_settings(settings))
        for line in data.describe().splitlines():
            log.info("%s", line)
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
    outcome = trainer.fit()
    accelerator.end_training()
    if not outcome.finished:
        log.info(
            "stopped at %s images, state saved; the same command continues",
            f"{outcome.images_seen:,}",
        )
        raise KeyboardInterrupt("state saved")
    if accelerator.is_main_process:
        log.info("done: %s; draw pictures with: hiresvae sample %s", run.path, run.path)
    return run.path


def _accelerator(settings: Settings, run: RunFolder) -> Any:
    import torch
    from accelerate import Accelerator

    precision = settings.training.precision
    if precision == "fp16" and not torch.cuda.is_available():
        raise UserError(
            "training.precision 'fp16' needs a GPU and none was found; use 'bf16' or 'no'"
        )
    trackers = list(settings.training.trackers)
    missing = [name for name in trackers if not _importable(name)]
    if missing:
        raise UserError(
            f"training.trackers {missing[0]!r} is not installed; pip install 'hiresvae[tracking]'"
        )
    return Accelerator(
        mixed_precision=precision,
        log_with=trackers or None,
        project_dir=str(run.path) if trackers else None,
    )


def _importable(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def _log_to(run: RunFolder) -> None:
    """Sends what is said to stderr and to ``train.log``."""
    log.setLevel(logging.INFO)
    log.propagate = False
    for old in list(log.handlers):
        log.removeHandler(old)
        old.close()
    with explained("writing", run.log):
        file = logging.FileHandler(run.log, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(file)
    log.addHandler(console)


def _same_run(settings: Settings, run: RunFolder) -> None:
    """Refuses to continue a run with settings that make it another one."""
    if not run.config.exists():
        return
    try:
        before = load_settings(run.config, [])
    except UserError as error:
        raise UserError(f"{error}; add --fresh to start again") from error
    old, new = (chosen.model_dump(exclude=_FREE) for chosen in (before, settings))
    for key, was, now in _differences(old, new):
        raise UserError(
            f"{run.path} holds a run with {key} {was!r}, the settings now say {now!r}; choose "
            f"another folder with --out, or add --fresh to start again"
        )


def _differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Returns ``(dotted key, old value, new value)`` wherever two trees of settings differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in old | new:
            found += _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
        return found
    return [] if old == new else [(path, old, new)]
