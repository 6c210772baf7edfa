"""Measuring on several processes: each takes a share of the pictures, all get every result.

Each machine may have files of its own; that they hold the same is made sure of. Nothing here
depends on how many processes there are: what is computed of a picture is joined in the order of the
pictures, sums are of all of them, and figures are those of one process.
"""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hiresvae.errors import UserError
from hiresvae.metrics import cache

if TYPE_CHECKING:
    from hiresvae.data.pictures import PictureData


def connect(device: str) -> str:
    """Joins the processes of ``accelerate launch``, if any, and returns this one's device.

    Args:
        device: as asked for; ``cuda`` becomes one device a process.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return device
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu")
    return str(state.device)


def refuse_other_pictures(data: "PictureData") -> None:
    """Refuses processes that found other pictures than the first.

    Raises:
        UserError: on every process, the same sentence.
    """
    if is_alone():
        return
    found: list[Any] = [None] * _rank_and_count()[1]
    torch.distributed.all_gather_object(found, (data.key, data.report.used))
    (first, count), *others = found
    for number, (key, used) in enumerate(others, start=1):
        if key != first:
            same = "as many, but others, or with other labels"
            why = same if used == count else f"{used}, not {count}"
            raise UserError(
                f"{data.report.source!r} holds other pictures for process {number} than for "
                f"process 0 ({why}); nearest valid: the same files, and the same labels, on every "
                "machine"
            )


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return _rank_and_count()[0] == 0


def is_alone() -> bool:
    """Whether there is but one process."""
    return _rank_and_count()[1] == 1


def share(count: int) -> slice:
    """Returns which of ``count`` rows this process works on: one run of rows, nearly equal runs."""
    return _share_of(*_rank_and_count(), count)


def joined(rows: np.ndarray) -> np.ndarray:
    """Returns the rows of all processes, in order of the pictures; of one process the very same."""
    if is_alone():
        return rows
    parts: list[Any] = [None] * _rank_and_count()[1]
    torch.distributed.all_gather_object(parts, rows)
    # With fewer pictures than processes some have none, and know no shape but their number.
    return np.concatenate([part for part in parts if len(part)] or parts[:1])


def in_blocks(rows: np.ndarray, count: int, most: int) -> Iterator[np.ndarray]:
    """Yields all processes' rows, a block after another, in order; memory holds one block.

    Args:
        rows: of this process: its `share` of all.
        count: of all rows.
        most: rows of a block.
    """
    rank, processes = _rank_and_count()
    for who in range(processes):
        theirs = _share_of(who, processes, count)
        for first in range(0, theirs.stop - theirs.start, most):
            block: list[Any] = [rows[first : first + most] if who == rank else None]
            if not is_alone():
                torch.distributed.broadcast_object_list(block, src=who)
            yield block[0]


def remembered(folder: str, key: str, compute: Callable[[], np.ndarray], rows: int) -> np.ndarray:
    """Returns an array from the first process' cache, or computes it with all and stores it.

    One cache decides: processes that each looked for themselves might not all join in computing.

    Args:
        folder: of the cache.
        key: all that the array depends on.
        compute: makes the array; called by every process, or by none.
        rows: length that the array must have.
    """
    found: list[Any] = [cache.recall(folder, key, rows) if is_first() else None]
    if not is_alone():
        torch.distributed.broadcast_object_list(found)
    stored: np.ndarray | None = found[0]
    if stored is None:
        stored = compute()
        if is_first():
            cache.keep(folder, key, stored)
    return stored


def by_share(compute: Callable[..., np.ndarray], *pictures: Tensor) -> np.ndarray:
    """Returns ``compute`` of pictures, each process computing its share of the rows.

    Args:
        compute: takes rows of each of the pictures, returns as many rows; or one row, a sum,
            and then there is one for each process.
        pictures: ``(N, ...)`` of equal lengths.
    """
    rows = share(len(pictures[0]))
    mine = [x[rows] for x in pictures]
    return joined(compute(*mine) if len(mine[0]) else np.zeros(0))


def _share_of(rank: int, processes: int, count: int) -> slice:
    return slice(count * rank // processes, count * (rank + 1) // processes)


def _rank_and_count() -> tuple[int, int]:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()
