"""Seconds, operations and memory of work in phases; needs torch and `PeakMemory` alone."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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

    def medians(self, leave: int = 0) -> dict[str, float]:
        """Returns the median by name, without the first few where there are more."""
        return {name: statistics.median(x[leave:] or x) for name, x in self.seconds.items()}


class Operations(Clock):
    """Counts floating-point operations by name in place of seconds."""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Counts what runs inside."""
        with FlopCounterMode(display=False) as counter:
            yield
        self.seconds.setdefault(name, []).append(float(counter.get_total_flops()))


class Work:
    """Something that is done over and over, in phases.

    Attributes:
        parameters: of all its networks.
        batch: pictures that it works off at a time.
        comparable: whether its memory is that of as many pictures as the others work off.
        note: what else a reader of its figures should know, or None.
    """

    parameters: int
    batch: int
    comparable = True
    note: str | None = None

    def once(self, clock: Clock) -> None:
        """Does it once, in phases."""
        raise NotImplementedError

    def worst(self, clock: Clock) -> None:
        """Does it once as it takes the most memory; in phases where that is what `once` does."""
        self.once(clock)

    def closing(self, clock: Clock) -> None:
        """Does what is due once after many times, if anything is."""

    def phases(self, medians: dict[str, float]) -> dict[str, float]:
        """Returns what each phase takes of the whole, of the medians of what was timed."""
        return medians


@dataclass
class Here:
    """Work that is measured in this process.

    Attributes:
        prepare: () -> what makes the work with its networks. What is there before that, such as
            pictures, is not of its memory.
        device: where.
        repeats: in a turn.
        seconds: after which a turn repeats no more.
    """

    prepare: Callable[[], Callable[[], Work]]
    device: str
    repeats: int
    seconds: float

    def ready(self) -> dict[str, Any]:
        """Returns what is counted, not timed: parameters, memory and operations by phase.

        Memory is that of the worst step: networks, gradients, moments and whatever lives beside.
        """
        make, operations = self.prepare(), Operations(self.device)
        with device_memory(self.device) as memory:
            self.work = make()
            self.work.worst(Clock(self.device))  # makes the moments
            self.work.worst(operations)
        if not operations.seconds:
            self.work.once(operations)
        return {
            "batch": self.work.batch,
            "parameters": self.work.parameters,
            "peak_memory_mib": round(memory[0], 1) if self.work.comparable else None,
            "operations": self.work.phases(operations.medians()),
        } | ({"note": self.work.note} if self.work.note else {})

    def turn(self) -> dict[str, float]:
        """Returns seconds of a batch by phase, medians of this turn."""
        clock, begun = Clock(self.device), time.perf_counter()
        for _ in range(self.repeats):
            self.work.once(clock)
            if time.perf_counter() - begun > self.seconds:
                break
        self.work.closing(clock)
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()  # the others need it now
        return self.work.phases(clock.medians())


@contextmanager
def device_memory(device: str) -> Iterator[list[float]]:
    """Gives a list that afterwards has the MiB of what was made inside, at the worst moment."""
    found: list[float] = []
    if device.startswith("cuda"):
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        yield found
        found.append((torch.cuda.max_memory_allocated(device) - before) / 2**20)
    else:
        with PeakMemory() as seen:
            yield found
        found.append(seen.peak / 2**20)
