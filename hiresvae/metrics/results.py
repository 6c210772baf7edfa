"""What a measurement is: a number with its unit, its direction, its error and what it rests on."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from hiresvae.seeding import generator

Interval = tuple[float, float]
Better = Literal["up", "down", "one", "none"]

NOTHING = 1e-9
"""A mean below which there is nothing to be compared with, such as the detail of flat pictures."""


@dataclass(frozen=True)
class Figure:
    """One measured number and all that is needed to compare it with another.

    The name says what was compared, never a bare ``fid``: ``rfid`` is of reconstructions,
    ``gfid_fitted`` of samples from the fitted prior, ``gfid_standard`` of samples from N(0, I),
    ``floor_fid`` of two halves of the real pictures. ``fid`` and ``kid`` are kept for the FID
    Inception; with other features the words are ``frechet`` and ``kernel``.

    Attributes:
        name: which figure this is.
        value: the number.
        unit: of the value and the interval.
        better: where better is: ``up``, ``down``, ``one`` of ratios to real pictures, which are
            judged by how far their logarithm is from 0: what is twice as rough as real pictures is
            as wrong as what is half as rough; or ``none``.
        interval: lower and upper bound of 95 %, or None where there is no honest one.
        counts: how many pictures went in, by role.
        features: ``name`` and ``sha256`` of the feature network, or None if there was none.
    """

    name: str
    value: float
    unit: str
    better: Better
    interval: Interval | None = None
    counts: dict[str, int] = field(default_factory=dict)
    features: dict[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the figure as what JSON can hold; a number that is not finite becomes None.

        Example:
            >>> Figure("rfid", 12.5, "squared distance", "down").to_json()["value"]
            12.5
        """
        out = asdict(self)
        out["value"] = _finite(self.value)
        out["interval"] = None if self.interval is None else [_finite(x) for x in self.interval]
        return out


def ratio_of_means(x: np.ndarray, y: np.ndarray) -> float:
    """Returns how many times the mean of y that of x is; NaN where y is nothing.

    Example:
        >>> ratio_of_means(np.ones(2), np.full(3, 4.0)), ratio_of_means(np.ones(2), np.zeros(3))
        (0.25, nan)
    """
    return float(x.mean() / y.mean()) if y.mean() > NOTHING else math.nan


def bootstrap(
    statistic: Callable[..., float], *samples: np.ndarray, seed: int = 0, draws: int = 1000
) -> Interval:
    """Returns the 95 % interval of a statistic, each sample redrawn from itself.

    Args:
        statistic: takes as many arrays as there are samples, of the same lengths.
        samples: values ``(n_i,)``, drawn independently of each other.
        seed: of the redrawing.
        draws: how often.

    Source: Efron, Bootstrap methods, 1979 (percentile interval).

    Example:
        >>> bootstrap(lambda x: float(x.mean()), np.ones(5))
        (1.0, 1.0)
    """
    rng = generator(seed, "bootstrap")
    values = np.empty(draws)
    for i in range(draws):
        rows = (torch.randint(len(s), (len(s),), generator=rng).numpy() for s in samples)
        values[i] = statistic(*(s[r] for s, r in zip(samples, rows, strict=True)))
    return spread(values)


def spread(values: np.ndarray) -> Interval:
    """Returns the bounds between which the middle 95 % of the values ``(n,)`` lie."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _finite(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None
