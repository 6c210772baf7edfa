"""The Fréchet distance between two sets of features, without a matrix square root.

A covariance is kept as a factor A with S = A'A. Then tr((S_a S_b)^(1/2)) is the sum of the singular
values of A B', a matrix as small as the smaller side of either set: nothing becomes complex,
singular covariances (fewer pictures than features) need no offset and cost less, not more.
"""

from dataclasses import dataclass

import numpy as np
import torch

from hiresvae.metrics.kernel import kernel_distance
from hiresvae.seeding import generator


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of features.

    Attributes:
        mean: float64 ``(D,)``.
        factor: float64 ``(R, D)`` with covariance = factor' factor, R at most D.
        count: how many pictures.
    """

    mean: np.ndarray
    factor: np.ndarray
    count: int


@dataclass(frozen=True)
class Floor:
    """The distances that two random halves of the same pictures have."""

    frechet: float
    kernel: float
    count: int


def moments(features: np.ndarray) -> Moments:
    """Returns mean and covariance (divided by N - 1) of features ``(N, D)``.

    Raises:
        ValueError: fewer than two rows.
    """
    x = np.asarray(features, np.float64)
    n, dim = x.shape
    if n < 2:
        raise ValueError(f"a covariance needs at least 2 pictures, got {n}")
    mean = x.mean(0)
    factor = (x - mean) / np.sqrt(n - 1)
    # R of QR has the same R'R; with fewer rows than columns the rows themselves are smaller.
    return Moments(mean, np.asarray(np.linalg.qr(factor, mode="r")) if n > dim else factor, n)


def frechet_distance(a: np.ndarray | Moments, b: np.ndarray | Moments) -> float:
    """Returns the squared Fréchet distance of two Gaussians fitted to features, at least 0.

    |m_a - m_b|^2 + tr S_a + tr S_b - 2 tr (S_a S_b)^(1/2), in float64.

    Args:
        a: features ``(N, D)`` or their moments.
        b: the same for the other set.

    Source: Heusel et al. 2017, arXiv 1706.08500, equation 6.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 4))
        >>> round(frechet_distance(x, x + 1.0), 6)
        4.0
    """
    a, b = (m if isinstance(m, Moments) else moments(m) for m in (a, b))
    shift = a.mean - b.mean
    overlap = np.linalg.svd(a.factor @ b.factor.T, compute_uv=False).sum()
    squared = shift @ shift + (a.factor**2).sum() + (b.factor**2).sum() - 2 * overlap
    return max(0.0, float(squared))


def halves_floor(features: np.ndarray, seed: int = 0) -> Floor:
    """Returns the distances of two random halves: what a perfect generator would score.

    FID is biased upwards by about 1/N, so this floor belongs to sets of half the size; a figure of
    larger sets may lie below it.

    Args:
        features: ``(N, D)`` of real pictures, N at least 4.
        seed: of the split.
    """
    order = torch.randperm(len(features), generator=generator(seed, "halves")).numpy()
    half = len(order) // 2
    one, two = features[order[:half]], features[order[half : 2 * half]]
    return Floor(frechet_distance(one, two), kernel_distance(one, two), half)


def least_for_infinity(dim: int) -> int:
    """Returns how many pictures `fid_infinity` needs for so many features.

    Below as many pictures as features a covariance lacks ranks, and the distance is no line in 1/N:
    its value at 1/N = 0 would belong to no number of pictures.
    """
    return max(8, 2 * dim)


def fid_infinity(
    generated: np.ndarray, reference: np.ndarray | Moments, *, seed: int = 0, sizes: int = 10
) -> float:
    """Returns the Fréchet distance extrapolated to endlessly many generated pictures.

    Distances of random subsets of the generated features, from a quarter (but at least D) to all of
    them, are fitted by a line in 1/N; its value at 1/N = 0 is returned. The bias that comes from
    the number of *reference* pictures stays, and the result may be below 0.

    Args:
        generated: features ``(N, D)``, N at least ``least_for_infinity(D)``.
        reference: features ``(M, D)`` or their moments.
        seed: of the subsets.
        sizes: how many subsets.

    Raises:
        ValueError: too few generated pictures.

    Source: Chong and Forsyth 2019, arXiv 1911.07023, with evenly spaced sizes as there.
    """
    count, dim = generated.shape
    if count < (least := least_for_infinity(dim)):
        raise ValueError(f"extrapolating needs {least} pictures or more, got {count}")
    rng = generator(seed, "fid_infinity")
    target = reference if isinstance(reference, Moments) else moments(reference)
    counts = np.linspace(max(count / 4, dim), count, sizes).round().astype(int)
    distances = [
        frechet_distance(generated[torch.randperm(count, generator=rng)[:n].numpy()], target)
        for n in counts
    ]
    return float(np.polyfit(1.0 / counts, distances, 1)[1])
