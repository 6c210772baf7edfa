"""Measuring on several processes: each takes a share of the pictures, all get every result.

Nothing here depends on how many there are: shares are joined in the order of the pictures, and sums
are taken over what was joined, so that the figures are those of one process.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hiresvae.metrics import cache


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


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return _rank_and_count()[0] == 0


def share(count: int) -> slice:
    """Returns which of ``count`` rows this process works on: one run of rows, nearly equal runs."""
    rank, processes = _rank_and_count()
    return slice(count * rank // processes, count * (rank + 1) // processes)


def joined(rows: np.ndarray) -> np.ndarray:
    """Returns the rows of all processes, in order of the pictures; of one process the very same."""
    _, processes = _rank_and_count()
    if processes == 1:
        return rows
    parts: list[Any] = [None] * processes
    torch.distributed.all_gather_object(parts, rows)
    # With fewer pictures than processes some have none, and know no shape but their number.
    return np.concatenate([part for part in parts if len(part)] or parts[:1])


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
    if _rank_and_count()[1] > 1:
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
        compute: takes rows of each of the pictures, returns as many rows.
        pictures: ``(N, ...)`` of equal lengths.
    """
    rows = share(len(pictures[0]))
    mine = [x[rows] for x in pictures]
    return joined(compute(*mine) if len(mine[0]) else np.zeros(0))


def _rank_and_count() -> tuple[int, int]:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()
