"""Trainings in processes of their own, to be ended in every way that a machine knows."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 300
"""Seconds after which something is taken to hang."""


@dataclass
class Started:
    """Processes that train together."""

    processes: list[subprocess.Popen[str]]

    def wait(self, ready: Callable[[], bool]) -> None:
        """Returns once something has happened, while all of them go on."""
        end = time.monotonic() + PATIENCE
        while not ready():
            assert all(process.poll() is None for process in self.processes), "ended too early"
            assert time.monotonic() < end, "never came so far"
            time.sleep(0.1)

    def ends(self) -> list[tuple[int, str]]:
        """Returns the exit code of each and what it said on stderr; none may hang."""
        said = [process.communicate(timeout=PATIENCE)[1] for process in self.processes]
        return [(p.returncode, words) for p, words in zip(self.processes, said, strict=True)]


@pytest.fixture
def start() -> Iterator[Callable[..., Started]]:
    """Starts Python: (*arguments, count=1) -> Started; no process outlives its test."""
    begun: list[subprocess.Popen[str]] = []

    def run(*arguments: str, count: int = 1) -> Started:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "1"}
        if count > 1:
            own |= {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        processes = []
        for rank in map(str, range(count)):
            ranks = {"RANK": rank, "LOCAL_RANK": rank} if count > 1 else {}
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env=os.environ | own | ranks,
                stderr=subprocess.PIPE,
                text=True,
            )
            begun.append(process)
            processes.append(process)
        return Started(processes)

    yield run
    for process in begun:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a small disk: (options) -> its folder; skips where that is not allowed."""
    mounted = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        if os.geteuid() != 0:
            pytest.skip("mounting needs root")
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)
