"""Rows worked off as many at a time as memory holds."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TypeVar

from hiresvae.errors import enough_memory, is_out_of_memory

T = TypeVar("T")
# Pixels that two cores draw fastest: 32 pictures of 64 px, 8 of 128 px, 2 of 256 px, 1 of 512 px.
CPU_PIXELS = 32 * 64**2


def at_once(side: int, kind: str, most: int) -> int:
    """Returns how many pictures to work off at a time: ``most``, and fewer where they are large.

    More pixels at a time take memory and, on a CPU, even time: what is between two layers no longer
    fits its cache, and is cleared anew each time (batches of 8, not of 32, are 1.6 times as fast at
    128 px, batches of 2, not of 8, 1.5 times at 256 px).

    Args:
        side: of the pictures, in pixels.
        kind: of the device, such as ``cpu``.
        most: pictures.
    """
    pixels = CPU_PIXELS if kind == "cpu" else 16 * CPU_PIXELS
    return max(1, min(most, pixels // side**2))


def in_batches(rows: slice, size: int, work: Callable[[slice], T], less: str) -> Iterator[T]:
    """Yields what ``work`` makes of rows, one batch after another.

    Where memory runs out, the same rows are tried again in batches of half the size, and those that
    follow keep to it. No rows at all are one empty batch, as for `torch.Tensor.split`.

    Args:
        rows: with start and stop.
        size: most rows at a time.
        work: what it makes of a row must not depend on the others.
        less: what needs less memory than a single row does.

    Raises:
        UserError: memory does not hold a single row.

    Example:
        >>> list(in_batches(slice(0, 5), 2, lambda rows: (rows.start, rows.stop), "nothing"))
        [(0, 2), (2, 4), (4, 5)]
    """
    first = rows.start
    while True:
        part = slice(first, min(first + size, rows.stop))
        count = part.stop - part.start
        try:
            with nullcontext() if count > 1 else enough_memory(less):
                made = work(part)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            # Tried again only when the error is gone, whose frames hold what filled the memory.
            size = count // 2
            continue
        yield made
        first = part.stop
        if first >= rows.stop:
            return
