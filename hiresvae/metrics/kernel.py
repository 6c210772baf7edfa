"""The kernel distance (KID): unbiased whatever the number of pictures, so fit for small sets."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from hiresvae.metrics.results import Interval, spread
from hiresvae.seeding import generator

BLOCK = 1024


class KernelEstimate(NamedTuple):
    """A kernel distance and how much it varies.

    Attributes:
        value: estimate from all pictures.
        subset_mean: mean over the subsets.
        interval: between which bounds 95 % of the subsets' estimates lie.
        subset_size: pictures in a subset.
    """

    value: float
    subset_mean: float
    interval: Interval
    subset_size: int


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the unbiased squared maximum mean discrepancy, kernel (x.y / D + 1)^3.

    It is 0 on average for two sets from one source, so single values may be negative.

    Args:
        a: features ``(N, D)``.
        b: features ``(M, D)``.

    Raises:
        ValueError: fewer than two rows in either set.

    Source: Binkowski et al. 2018, arXiv 1801.01401, section 4; for N = M the same number as
    clean-fid and torchmetrics compute for a subset.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a kernel distance needs 2 pictures a side, got {len(a)} and {len(b)}")
    across = sum(float(_kernel(part, b).sum()) for part in _blocks(a))
    return _within(a) + _within(b) - 2 * across / (len(a) * len(b))


def kernel_estimate(
    a: np.ndarray,
    b: np.ndarray,
    *,
    seed: int = 0,
    subsets: int = 50,
    subset_size: int | None = None,
) -> KernelEstimate:
    """Returns the kernel distance of all pictures, and its spread over random subsets.

    Args:
        a: features ``(N, D)``.
        b: features ``(M, D)``.
        seed: of the subsets.
        subsets: how many.
        subset_size: pictures of each side in a subset; None: 500, but at most half of the smaller
            set, since subsets that hold nearly everything would hardly vary.
    """
    rng = generator(seed, "kernel")
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    value = kernel_distance(a, b)
    smaller = min(len(a), len(b))
    size = subset_size or max(2, min(500, smaller // 2))
    values = np.empty(subsets)
    for i in range(subsets):
        one, two = (x[torch.randperm(len(x), generator=rng)[:size].numpy()] for x in (a, b))
        values[i] = kernel_distance(one, two)
    return KernelEstimate(value, float(values.mean()), spread(values), size)


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _within(x: np.ndarray) -> float:
    """Returns the mean kernel over pairs of different rows."""
    total = sum(float(_kernel(part, x).sum()) for part in _blocks(x))
    own = float(((np.square(x).sum(1) / x.shape[1] + 1) ** 3).sum())
    return (total - own) / (len(x) * (len(x) - 1))


def _blocks(x: np.ndarray) -> Iterator[np.ndarray]:
    """Yields rows at a time: kernels of 10,000 pictures with each other would fill gigabytes."""
    for first in range(0, len(x), BLOCK):
        yield x[first : first + BLOCK]
