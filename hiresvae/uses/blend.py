"""Joins what fills a hole to what surrounds it, so that no edge shows."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import zoom
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import cg
from torch import Tensor

Reals = NDArray[np.float64]

NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))
# Keeps the equations solvable where nothing is known; far below what a picture can show.
TINY = 1e-6
# Below this many unknown pixels the equations are solved without a first guess.
FEW = 2_000
PRECISION = 1e-4
"""Of the solution, beside the differences at the edge: a fraction of a grey."""


def joined(inside: Tensor, around: Tensor, hole: Tensor) -> Tensor:
    """Returns ``around`` with its hole filled by ``inside``, whose colours are moved to fit.

    What both differ by along the edge of the hole is spread over it as evenly as can be: the
    solution of Laplace's equation. Detail stays, and colours join.

    Args:
        inside: ``(C, H, W)``, of which the hole is used, and its edge to compare.
        around: ``(C, H, W)``, which stays as it is outside of the hole.
        hole: bool ``(H, W)``.

    Source: Perez et al. 2003, Poisson Image Editing, section 3.
    """
    if not hole.any():
        return around
    gap = (around - inside).detach().cpu().double().numpy()
    shift = _spread(gap, hole.cpu().numpy())
    result = around.clone()
    result[:, hole] = inside[:, hole] + torch.from_numpy(shift).to(inside)[:, hole]
    return result


def _spread(gap: Reals, hole: NDArray[np.bool_]) -> Reals:
    """Returns values ``(C, H, W)`` spread evenly over a hole ``(H, W)``; kept outside of it.

    Large holes are solved at half the side first, whose solution is a good guess at the whole.
    """
    guess = np.where(hole, 0.0, gap)
    if hole.sum() > FEW:
        known = _halved((~hole)[None].astype(float))
        half = _halved(guess) / np.maximum(known, 1e-9)
        coarse = _spread(half, known[0] == 0)
        fine = zoom(coarse, (1, 2, 2), order=1, grid_mode=True, mode="nearest")
        guess = np.where(hole, fine[:, : hole.shape[0], : hole.shape[1]], gap)
    rows, columns = np.nonzero(hole)
    number = np.full(hole.shape, -1)
    number[hole] = np.arange(len(rows))
    degree, edge = np.zeros(len(rows)), np.zeros((len(gap), len(rows)))
    pairs = []
    for down, right in NEIGHBOURS:
        y, x = rows + down, columns + right
        at = (y >= 0) & (y < hole.shape[0]) & (x >= 0) & (x < hole.shape[1])
        mine, y, x = np.flatnonzero(at), y[at], x[at]
        degree[mine] += 1
        other = number[y, x]
        pairs.append((mine[other >= 0], other[other >= 0]))
        outer = other < 0
        edge[:, mine[outer]] += gap[:, y[outer], x[outer]]
    mine, others = (np.concatenate(part) for part in zip(*pairs, strict=True))
    links = csr_matrix((np.ones(len(mine)), (mine, others)), shape=(len(rows), len(rows)))
    laplace = diags(degree + TINY) - links
    for channel, known_edge in zip(guess, edge, strict=True):
        channel[hole] = cg(laplace, known_edge, x0=channel[hole], rtol=PRECISION)[0]
    return guess


def _halved(values: Reals) -> Reals:
    """Returns sums over squares of two pixels a side; what is missing at the rim is 0."""
    height, width = values.shape[1:]
    even = np.pad(values, ((0, 0), (0, height % 2), (0, width % 2)))
    return even.reshape(len(values), even.shape[1] // 2, 2, -1, 2).sum((2, 4))
