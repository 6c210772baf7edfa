"""Figures of many pictures, some pictures at a time."""

from collections.abc import Callable

import numpy as np
from torch import Tensor


def by_chunk(compute: Callable[..., Tensor], *pictures: Tensor, size: int) -> np.ndarray:
    """Returns ``compute`` of pictures, so many at a time, in one array that is made beforehand.

    A list of the parts would do the same, but each small part comes to lie between the large blocks
    that its chunk gives back, and what lies between them can no longer be used for the next ones:
    memory grew with every chunk.

    Args:
        compute: takes rows of each of the pictures, returns as many rows.
        pictures: ``(N, ...)`` of equal lengths.
        size: of a chunk.
    """
    count = len(pictures[0])
    out = None
    for first in range(0, max(count, 1), size):
        rows = compute(*(x[first : first + size] for x in pictures)).cpu().numpy()
        if out is None:
            out = np.empty((count, *rows.shape[1:]), rows.dtype)
        out[first : first + len(rows)] = rows
    assert out is not None  # without any picture, what computes has told the shape of no rows
    return out
