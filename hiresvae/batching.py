"""Rows worked off as many at a time as memory holds."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TypeVar

from hiresvae.errors import enough_memory, is_out_of_memory

T = TypeVar("T")


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
