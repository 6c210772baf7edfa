"""Joins what fills a hole to what surrounds it, so that no edge shows."""

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import cg
from torch import Tensor

# Keeps the equations solvable where nothing is known; far below what a picture can show.
TINY = 1e-6
NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))


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
    empty = hole.cpu().numpy()
    rows, columns = np.nonzero(empty)
    number = np.full(empty.shape, -1)
    number[empty] = np.arange(len(rows))
    gap = (around - inside).cpu().double().numpy()
    degree, known = np.zeros(len(rows)), np.zeros((len(gap), len(rows)))
    pairs = []
    for down, right in NEIGHBOURS:
        y, x = rows + down, columns + right
        at = (y >= 0) & (y < empty.shape[0]) & (x >= 0) & (x < empty.shape[1])
        mine, y, x = np.flatnonzero(at), y[at], x[at]
        degree[mine] += 1
        other = number[y, x]
        pairs.append((mine[other >= 0], other[other >= 0]))
        edge = other < 0
        known[:, mine[edge]] += gap[:, y[edge], x[edge]]
    mine, others = (np.concatenate(part) for part in zip(*pairs, strict=True))
    links = csr_matrix((np.ones(len(mine)), (mine, others)), shape=(len(rows), len(rows)))
    laplace = diags(degree + TINY) - links
    shift = np.stack([cg(laplace, one, rtol=1e-5)[0] for one in known])
    result = around.clone()
    moved = torch.from_numpy(shift).to(inside)
    result[:, hole] = inside[:, hole] + moved
    return result
