"""The kernel distance (KID): unbiased whatever the number of pictures, so fit for small sets."""

import math
from typing import NamedTuple

import numpy as np

from hiresvae.metrics.results import Interval

# Rows at a time: kernels of 10,000 pictures with each other would fill gigabytes.
BLOCK = 1024
# Deviations of a normal distribution that hold its middle 95 %.
MIDDLE = 1.96


class KernelEstimate(NamedTuple):
    """A kernel distance with its 95 % interval."""

    value: float
    interval: Interval


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the unbiased squared maximum mean discrepancy; see `kernel_estimate`.

    Args:
        a: features ``(N, D)``.
        b: features ``(M, D)``.

    Raises:
        ValueError: fewer than two rows in either set.
    """
    return kernel_estimate(a, b).value


def kernel_estimate(a: np.ndarray, b: np.ndarray, *, paired: bool = False) -> KernelEstimate:
    """Returns the unbiased squared maximum mean discrepancy, kernel (x.y / D + 1)^3.

    It is 0 on average for two sets from one source, so single values may be negative.

    The interval is that of the value from all rows, 1.96 standard errors about it. A row moves the
    value by twice the difference of its mean kernels within its own set and across; the variance of
    these over the number of rows, added over both sets, is the squared error. Where the two sources
    are one, where second-order terms are all there is, this is wider than needed, by a root of two.

    Args:
        a: features ``(N, D)``.
        b: features ``(M, D)``.
        paired: whether row i of b is of the picture from which row i of a was made. Such rows are
            alike beyond what their sources share, so the kernel of a pair is left out of the mean
            across; with it even perfect copies would lie below 0.

    Raises:
        ValueError: fewer than two rows in either set, or pairs of sets of different lengths.

    Source: Binkowski et al. 2018, arXiv 1801.01401, section 4; for N = M the same number as
    clean-fid and torchmetrics compute for a subset. Pairs: Gretton et al. 2012 (A kernel two-sample
    test), equation 4. Errors: Hoeffding 1948 (the leading term of a U-statistic's variance).
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a kernel distance needs 2 pictures a side, got {len(a)} and {len(b)}")
    if paired and len(a) != len(b):
        raise ValueError(f"pairs need equally many pictures, got {len(a)} and {len(b)}")
    within_a, within_b = _within(a), _within(b)
    across_a, across_b = _sums(a, b)
    if paired:
        own, others = _kernel_of_pairs(a, b), len(a) - 1
        moved = within_a + within_b - (across_a + across_b - 2 * own) / others
        value, variance = moved.mean(), 4 * moved.var(ddof=1) / len(a)
    else:
        of_a, of_b = within_a - across_a / len(b), within_b - across_b / len(a)
        value = of_a.mean() + of_b.mean()
        variance = 4 * (of_a.var(ddof=1) / len(a) + of_b.var(ddof=1) / len(b))
    error = MIDDLE * math.sqrt(variance)
    return KernelEstimate(float(value), (float(value - error), float(value + error)))


def _within(x: np.ndarray) -> np.ndarray:
    """Returns the mean kernel ``(N,)`` of each row with the other rows."""
    sums: np.ndarray = (_sums(x, x)[0] - _kernel_of_pairs(x, x)) / (len(x) - 1)
    return sums


def _sums(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sums of the kernel over the rows of b ``(N,)``, and over those of a ``(M,)``."""
    over_b, over_a = np.empty(len(a)), np.zeros(len(b))
    for first in range(0, len(a), BLOCK):
        rows = slice(first, first + BLOCK)
        linear = a[rows] @ b.T / a.shape[1] + 1
        kernel = linear * linear * linear  # many times as fast as ** 3
        over_b[rows] = kernel.sum(1)
        over_a += kernel.sum(0)
    return over_b, over_a


def _kernel_of_pairs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    kernel: np.ndarray = ((a * b).sum(1) / a.shape[1] + 1) ** 3
    return kernel
