"""Trainings in processes of their own, and what they tell: images a second and memory."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hiresvae.errors import UserError
from hiresvae.run import MetricsFile, RunFolder
from hiresvae.section import Section
from hiresvae.settings import MetricSettings, PriorSettings, Settings

ROOT = Path(__file__).resolve().parents[1]
PROC = Path("/proc")


def timed(settings: Settings, steps: int, ticks: int) -> Settings:
    """Returns the settings of a short training in which nothing but ticks interrupts the steps.

    An adversary works before the first tick, of which nobody is to take the time.

    Args:
        settings: checked; the batch stays.
        steps: between two ticks.
        ticks: in all.
    """
    tick = steps * settings.training.batch_size
    images = ticks * tick
    lengths = {"images": images, "tick": tick, "snapshot": images, "checkpoint": images}
    changes: dict[str, Section] = {
        "training": settings.training.model_copy(update=lengths),
        "prior": PriorSettings(kind="running"),
        "metrics": MetricSettings(keep_best="none"),
    }
    if settings.adversary is not None:
        begun = {"start": 0.0, "warmup": 0.0, "ramp": 0.0}
        changes["adversary"] = settings.adversary.model_copy(update=begun)
    return settings.model_copy(update=changes)


def start(
    config: Path,
    out: Path,
    threads: int,
    processes: int = 1,
    program: Sequence[str] = ("-m", "hiresvae"),
) -> list[subprocess.Popen[str]]:
    """Starts a training anew; several processes share its batch.

    They are told of one another as a launcher would: ``accelerate launch --cpu`` starts a single
    one, however many are asked for, unless MPI is there.

    Args:
        config: YAML file.
        out: its run folder.
        threads: of each process.
        processes: that train together.
        program: Python's arguments in front of the command.
    """
    place = os.environ | {"OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
    own = place.get("PYTHONPATH", "")
    place["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), own)))
    call = [sys.executable, *program, "train", str(config), "--out", str(out), "--fresh"]
    out.parent.mkdir(parents=True, exist_ok=True)
    ranks: list[dict[str, str]] = [{}]
    if processes > 1:
        import socket

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        shared |= {"ACCELERATE_USE_CPU": "1"}
        ranks = [shared | {"RANK": str(i), "LOCAL_RANK": str(i)} for i in range(processes)]
    with out.with_suffix(".log").open("w", encoding="utf-8") as log:
        return [
            subprocess.Popen(call, env=place | rank, stdout=log, stderr=log, text=True)
            for rank in ranks
        ]


def ended(started: Sequence[subprocess.Popen[str]], pause: float = 0.02) -> int:
    """Waits for processes; returns the most memory of its own that one had, in bytes.

    That is RssAnon: pages of files that lie in memory for a while are the system's to take away.
    0 where there is no ``/proc``.

    Raises:
        UserError: one failed; the others are ended.
    """
    peak = 0
    try:
        while any(process.poll() is None for process in started):
            peak = max(peak, *(_own_memory(process.pid) for process in started))
            if any(process.returncode for process in started):
                break
            time.sleep(pause)
    finally:
        for process in started:
            if process.poll() is None:
                process.terminate()
            process.wait()
    for process in started:
        if process.returncode:
            raise UserError(f"a training ended with code {process.returncode}; see its log")
    return peak


def _own_memory(pid: int) -> int:
    """Returns the bytes of a process that no file stands behind; 0 of one that has gone."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    found = [1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:")]
    return found[0] if found else 0


def speed(run: Path, skipped: int, until: float = float("inf")) -> float:
    """Returns the median images a second between two ticks.

    Args:
        run: its folder.
        skipped: first ticks that do not count; what the first began with is not told at all.
        until: seconds since 1970 after which ticks do not count.

    Raises:
        UserError: fewer than two ticks are left.
    """
    lines = MetricsFile(RunFolder(run).metrics).read()
    counted = [line for line in lines[max(0, skipped - 1) :] if line["time"] <= until]
    images, seconds = (np.diff([line[name] for line in counted]) for name in ("images", "time"))
    if not len(images):
        raise UserError(f"{run} has {len(lines)} ticks, too few to time: take more")
    return float(statistics.median((images / np.maximum(seconds, 1e-3)).tolist()))


def last_tick(run: Path) -> float:
    """Returns when a training told its last figures, in seconds since 1970."""
    return float(MetricsFile(RunFolder(run).metrics).read()[-1]["time"])
