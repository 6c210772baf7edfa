"""Seconds, operations and memory of work in phases; needs torch and `PeakMemory` alone."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from hiresvae.training.peak import PeakMemory


class Clock:
    """Collects seconds by name.

    Args:
        device: whose work is waited for before the clock is read.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.seconds: dict[str, list[float]] = {}

    def _now(self) -> float:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Times what runs inside."""
        begun = self._now()
        yield
        self.seconds.setdefault(name, []).append(self._now() - begun)


class Operations(Clock):
    """Counts floating-point operations by name in place of seconds."""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Counts what runs inside."""
        with FlopCounterMode(display=False) as counter:
            yield
        self.seconds.setdefault(name, []).append(float(counter.get_total_flops()))


def alone(
    name: str, run: Callable[[int], None], repeats: int, device: str, batch: int
) -> dict[str, Any]:
    """Returns the figures of something without phases."""
    clock, operations = Clock(device), Operations(device)
    with device_memory(device) as memory:
        for number in range(repeats):
            with clock(name):
                run(number)
    if not device.startswith("cuda"):
        with PeakMemory() as seen:
            run(0)
        memory.append(seen.peak / 2**20)
    with operations(name):
        run(1)
    seconds = statistics.median(clock.seconds[name][2:] or clock.seconds[name])
    return figures_of({name: seconds}, {name: operations.seconds[name][0]}, memory, batch)


@contextmanager
def device_memory(device: str) -> Iterator[list[float]]:
    """Gives a list that has the device's peak in MiB afterwards; empty on a processor."""
    found: list[float] = []
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    yield found
    if device.startswith("cuda"):
        found.append(torch.cuda.max_memory_allocated(device) / 2**20)


def figures_of(
    seconds: dict[str, float], operations: dict[str, float], memory: list[float], batch: int
) -> dict[str, Any]:
    """Returns the figures of work on a batch, of its seconds and operations by phase."""
    total = sum(seconds.values())
    return {
        "seconds_an_image": total / batch,
        "images_per_second": batch / total,
        "peak_memory_mib": round(memory[0], 1),
        "operations_an_image": sum(operations.values()) / batch,
        "phases": {
            name: {"seconds": value, "operations_a_second": operations.get(name, 0.0) / value}
            for name, value in seconds.items()
            if value > 0
        },
    }
