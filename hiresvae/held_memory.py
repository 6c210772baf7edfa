"""Memory that a CPU has cleared once and need not clear again."""

import ctypes
import functools
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

PLENTY = 3
"""Times what this process has held at most, that must be free: gaps between blocks cost memory."""
PROC = Path("/proc")
GROUPS = Path("/sys/fs/cgroup")
TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of <malloc.h>
_holds = False

log = logging.getLogger(__name__)


def hold_memory() -> bool:
    """Lets memory that is given back stay with this process from now on, where there is plenty.

    The C library of Linux returns each block above 32 MB to the system at once, and the rest when
    much of it is free; before the system gives it again it clears every page. At 256 pixels that
    is a third of a training step on a CPU. What is held has gaps: the process grows by up to a
    third there, by up to an eighth at 64 pixels. For a process that does the same again and again.

    Returns:
        Whether memory is held; never where the C library is none that knows how.
    """
    global _holds
    if not _holds and knows_how():
        peak = _kibibytes(PROC / "self/status", "VmHWM:")
        if 0 < PLENTY * peak < free_memory():
            library = ctypes.CDLL(None)
            library.mallopt(MMAP_MAX, 0)
            library.mallopt(TRIM_THRESHOLD, -1)
            _holds = True
            log.info("memory that steps give back is kept for the next ones")
    return _holds


@functools.cache
def knows_how() -> bool:
    """Returns whether the C library is glibc."""
    try:
        return sys.platform == "linux" and "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (ValueError, OSError):
        return False


def free_memory() -> int:
    """Returns the bytes that Linux would still give this process, 0 where it does not say."""
    return min([_kibibytes(PROC / "meminfo", "MemAvailable:"), *_left_to_groups()])


def _kibibytes(file: Path, name: str) -> int:
    """Returns a row of a file of ``/proc`` in bytes, 0 where there is none."""
    try:
        rows = (line.split() for line in file.read_text().splitlines())
        return next(1024 * int(row[1]) for row in rows if row and row[0] == name)
    except (OSError, StopIteration, ValueError, IndexError):
        return 0


def _left_to_groups() -> Iterator[int]:
    """Yields the bytes left to each group of processes that this one is in and that has a limit."""
    try:
        lines = (PROC / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            root, limit, taken = GROUPS, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            root, limit = GROUPS / "memory", "memory.limit_in_bytes"
            taken = "memory.usage_in_bytes"
        else:
            continue
        inside = root / path.strip("/")
        # Inside a container the path is often that of the outside, and the root is its own group.
        for group in {root, inside, *(x for x in inside.parents if root in x.parents)}:
            try:
                most, used = (int((group / name).read_text()) for name in (limit, taken))
                files = _files(group)
            except (OSError, ValueError):  # not here, or "max"
                continue
            yield max(0, most - used + files)


def _files(group: Path) -> int:
    """Returns the bytes that a group holds of files only because nobody else wants them."""
    rows = (line.split() for line in (group / "memory.stat").read_text().splitlines())
    known = {row[0]: int(row[1]) for row in rows if len(row) == 2}
    return known.get("total_inactive_file", known.get("inactive_file", 0))
