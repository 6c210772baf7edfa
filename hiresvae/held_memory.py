"""Memory that a CPU has cleared once and need not clear again."""

import ctypes
import platform
from pathlib import Path

PLENTY = 3
"""Times what this process has held at most, that must be free: gaps between blocks cost memory."""
SYSTEM = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")
TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of <malloc.h>
_holds = False


def hold_memory() -> bool:
    """Lets memory that is given back stay with this process from now on, where there is plenty.

    The C library of Linux returns each block above 32 MB to the system at once, and the rest when
    much of it is free; before the system gives it again it clears every page. At 256 pixels that
    is a third of a training step on a CPU. What is held has gaps: the process grows by a third
    there, by an eighth at 64 pixels. Meant to be called now and then, once what is usual has been
    done; torch's memory on a GPU is not touched.

    Returns:
        Whether memory is held; never where the C library is none that knows how.
    """
    global _holds
    if not _holds and platform.libc_ver()[0] == "glibc":
        import resource  # there is none on Windows

        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if free_memory() > PLENTY * peak:
            library = ctypes.CDLL(None)
            library.mallopt(MMAP_MAX, 0)
            library.mallopt(TRIM_THRESHOLD, -1)
            _holds = True
    return _holds


def free_memory() -> int:
    """Returns the bytes that Linux would still give this process, 0 where it does not say."""
    try:
        lines = SYSTEM.read_text().splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration):
        return 0
    try:
        limit, used = (int((GROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
    except (OSError, ValueError):  # no group, or none with a limit
        return free
    return min(free, max(0, limit - used))
