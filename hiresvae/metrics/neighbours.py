"""Nearest neighbours in a space of features: are made pictures real-looking, varied, copied?

Distances are computed a block of rows at a time, so that memory grows with the number of pictures
and not with its square.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

BLOCK = 1024
# Distances above this say "not memorised" in the source of MiFID.
MIFID_LIMIT = 0.1


@dataclass(frozen=True)
class Coverage:
    """Precision, recall, density and coverage before they are averaged over pictures.

    Attributes:
        precision: bool ``(N,)``, whether a made picture lies in the real manifold.
        recall: bool ``(M,)``, whether a real picture lies in the made manifold.
        density: float64 ``(N,)``, real balls around a made picture, divided by k.
        coverage: bool ``(M,)``, whether a real picture's ball holds a made one.
    """

    precision: np.ndarray
    recall: np.ndarray
    density: np.ndarray
    coverage: np.ndarray


def coverage(fakes: np.ndarray, reals: np.ndarray, *, manifold: int = 3, ball: int = 5) -> Coverage:
    """Returns, for each picture, what precision, recall, density and coverage average.

    A manifold is the union of balls around its points, each reaching to the k-th nearest other
    point. Compare figures of equal numbers of pictures only: balls shrink as points are added.

    Args:
        fakes: features ``(N, D)``.
        reals: features ``(M, D)``.
        manifold: k of precision and recall.
        ball: k of density and coverage.

    Raises:
        ValueError: a set has no k-th nearest other.

    Source: precision and recall: Kynkäänniemi et al. 2019, arXiv 1904.06991; density and coverage:
    Naeem et al. 2020, arXiv 2002.09797, equations 3 to 5. Inside means strictly inside, as in the
    code of the latter.
    """
    most = min(len(fakes), len(reals))
    if most <= max(manifold, ball):
        raise ValueError(f"{most} pictures have no {max(manifold, ball)}th nearest other")
    real_radius = kth_nearest(reals, reals, manifold, others=True)
    fake_radius = kth_nearest(fakes, fakes, manifold, others=True)
    real_ball = kth_nearest(reals, reals, ball, others=True)
    precise, dense = np.zeros(len(fakes), bool), np.zeros(len(fakes))
    recalled, covered = np.zeros(len(reals), bool), np.zeros(len(reals), bool)
    for rows, distance in _distances(fakes, reals):
        precise[rows] = (distance < real_radius).any(1)
        dense[rows] = (distance < real_ball).sum(1) / ball
        recalled |= (distance < fake_radius[rows, None]).any(0)
        covered |= (distance < real_ball).any(0)
    return Coverage(precise, recalled, dense, covered)


def kth_nearest(a: np.ndarray, b: np.ndarray, k: int = 1, *, others: bool = False) -> np.ndarray:
    """Returns the Euclidean distance ``(N,)`` from each row of a to its k-th nearest row of b.

    Args:
        a: ``(N, D)``.
        b: ``(M, D)``.
        k: 1 is the nearest.
        others: a and b are the same rows, and a row is not its own neighbour.
    """
    out = np.empty(len(a))
    for rows, distance in _distances(a, b):
        if others:
            distance[np.arange(len(distance)), np.arange(rows.start, rows.stop)] = np.inf
        out[rows] = np.partition(distance, k - 1, axis=1)[:, k - 1]
    return out


def nearest_of_all(a: np.ndarray, blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Returns the Euclidean distance ``(N,)`` from each row of a to the nearest row of any block.

    Args:
        a: ``(N, D)``.
        blocks: ``(m, D)`` each, of a set that memory need not hold.
    """
    nearest = np.full(len(a), np.inf)
    for block in blocks:
        np.minimum(nearest, kth_nearest(a, block), out=nearest)
    return nearest


def mean_distances(x: np.ndarray) -> np.ndarray:
    """Returns the mean Euclidean distance ``(N,)`` from each row of ``(N, D)`` to the others.

    Raises:
        ValueError: there is one row.

    Example:
        >>> mean_distances(np.array([[0.0], [3.0], [6.0]])).tolist()
        [4.5, 3.0, 4.5]
    """
    if len(x) < 2:
        raise ValueError(f"a distance between pictures needs 2 of them, got {len(x)}")
    out = np.empty(len(x))
    for rows, distance in _distances(x, x):
        distance[np.arange(len(distance)), np.arange(rows.start, rows.stop)] = 0.0
        out[rows] = distance.sum(1) / (len(x) - 1)
    return out


def mean_within(x: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean distance of two rows of one class, averaged over classes of two and more.

    Args:
        x: ``(N, D)``.
        labels: integers ``(N,)``.

    Raises:
        ValueError: no class has two rows.
    """
    parts = [x[labels == label] for label in np.unique(labels)]
    values = [mean_distances(part).mean() for part in parts if len(part) > 1]
    if not values:
        raise ValueError("no class has two pictures")
    return float(np.mean(values))


def cosine_to_nearest(fakes: np.ndarray, reals: np.ndarray) -> np.ndarray:
    """Returns for each made picture ``(N,)`` the least 1 - |cos| to a real one; 0 is a copy.

    The minimum is over reals for each fake: over fakes for each real, as some packages have it, a
    model that copies one picture and nothing else would look original.

    Args:
        fakes: features ``(N, D)``.
        reals: features ``(M, D)``.
    """
    b = _unit(reals)
    out = np.empty(len(fakes))
    for first in range(0, len(fakes), BLOCK):
        rows = slice(first, first + BLOCK)
        cosine = np.abs(_unit(fakes[rows]) @ b.T)
        out[rows] = (1 - cosine.max(1)).clip(min=0)
    return out


def memorisation(nearest: np.ndarray) -> float:
    """Returns the divisor of MiFID: the mean nearness, or 1 if that is 0.1 or more.

    Args:
        nearest: `cosine_to_nearest` ``(N,)`` of made pictures.

    Source: Bai et al. 2021, arXiv 2106.03062, equations 4 and 5.
    """
    distance = float(nearest.mean())
    # Exact copies would divide by nothing; the source adds a small number for them too.
    return 1.0 if distance >= MIFID_LIMIT else distance + 1e-6


def _unit(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    unit: np.ndarray = x / np.linalg.norm(x, axis=1, keepdims=True).clip(min=1e-12)
    return unit


def _distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields blocks of rows of a and their distances ``(n, M)`` to all rows of b, in float64."""
    # About one mean, so that subtracting large squares leaves the digits of small distances.
    centre = np.asarray(b, np.float64).mean(0)
    b = np.asarray(b, np.float64) - centre
    squared = np.square(b).sum(1)
    for first in range(0, len(a), BLOCK):
        rows = slice(first, min(first + BLOCK, len(a)))
        part = np.asarray(a[rows], np.float64) - centre
        distance = np.square(part).sum(1)[:, None] + squared - 2 * (part @ b.T)
        yield rows, np.sqrt(distance.clip(min=0))
