"""How sharp pictures are: the variance of their Laplacian.

Noise raises it as sharpness does, so it is read beside the spectrum, and only at one size.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hiresvae.metrics.chunks import by_chunk
from hiresvae.metrics.results import Interval, bootstrap, ratio_of_means

CHUNK = 64


class Ratio(NamedTuple):
    """A ratio of two means with its 95 % interval."""

    value: float
    interval: Interval


def luma(pictures: Tensor) -> Tensor:
    """Returns the brightness ``(N, H, W)`` in [0, 1] of uint8 pictures ``(N, C, H, W)``.

    Source: ITU-R BT.601 weights for three channels; one channel is brightness already.
    """
    if pictures.dtype != torch.uint8:
        raise TypeError(f"pictures must be uint8 (0 to 255), got {pictures.dtype}")
    if pictures.shape[1] == 1:
        return pictures[:, 0].float() / 255
    weights = torch.tensor([0.299, 0.587, 0.114], device=pictures.device) / 255
    return torch.einsum("nchw,c->nhw", pictures.float(), weights)


def laplacian_variance(pictures: Tensor) -> np.ndarray:
    """Returns the variance ``(N,)`` of the 3 x 3 Laplacian of each picture's brightness.

    The border is left out: padding would draw edges that the picture has not.

    Args:
        pictures: uint8 ``(N, C, H, W)``, at least 4 pixels a side.

    Returns:
        float64, in squared units of brightness in [0, 1].
    """

    def variance(part: Tensor) -> Tensor:
        y = luma(part).double()
        around = y[:, :-2, 1:-1] + y[:, 2:, 1:-1] + y[:, 1:-1, :-2] + y[:, 1:-1, 2:]
        return (around - 4 * y[:, 1:-1, 1:-1]).var(dim=(1, 2), correction=0)

    return by_chunk(variance, pictures, size=CHUNK)


def sharpness_ratio(fakes: Tensor, reals: Tensor, *, seed: int = 0) -> Ratio:
    """Returns the mean Laplacian variance of fakes over that of reals.

    Below 1: blurred. Above 1: noisy, or sharper than the real ones.

    Args:
        fakes: uint8 ``(N, C, H, W)``.
        reals: uint8 ``(M, C, H, W)`` of the same height and width.
        seed: of the interval's redrawing.

    Raises:
        ValueError: the sides differ; the Laplacian depends on the size.
    """
    if fakes.shape[-2:] != reals.shape[-2:]:
        sides = f"{tuple(fakes.shape[-2:])} and {tuple(reals.shape[-2:])}"
        raise ValueError(f"sharpness is compared at one size, got {sides}")
    return variance_ratio(laplacian_variance(fakes), laplacian_variance(reals), seed=seed)


def variance_ratio(fakes: np.ndarray, reals: np.ndarray, *, seed: int = 0) -> Ratio:
    """Returns :func:`sharpness_ratio` of the variances ``(N,)`` and ``(M,)`` of pictures."""
    interval = bootstrap(ratio_of_means, fakes, reals, seed=seed)
    return Ratio(ratio_of_means(fakes, reals), interval)
