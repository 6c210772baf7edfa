"""Distances between a picture and its reconstruction, pair by pair."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hiresvae.metrics.chunks import by_chunk

# Rounding to whole levels alone has this mean squared error: no copy is measured as closer.
ROUNDING = 1 / 12
WINDOW = 11
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
CHUNK = 16


def psnr(pictures: Tensor, originals: Tensor) -> np.ndarray:
    """Returns the peak signal-to-noise ratio ``(N,)`` of each pair in decibel, at most 58.9.

    10 log10(255^2 / mean squared error), the error at least that of rounding, so that a perfect
    copy keeps the mean over pictures finite.

    Args:
        pictures: uint8 ``(N, C, H, W)``.
        originals: uint8, the same shape.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> x = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
        >>> psnr(x + 255, x).tolist()
        [0.0]
    """
    if pictures.shape != originals.shape:
        shapes = f"{tuple(pictures.shape)} and {tuple(originals.shape)}"
        raise ValueError(f"pairs need equal shapes, got {shapes}")

    def ratio(a: Tensor, b: Tensor) -> Tensor:
        errors = (a.float() - b.float()).square().mean(dim=(1, 2, 3))
        return 10 * torch.log10(255**2 / errors.double().clamp(min=ROUNDING))

    return by_chunk(ratio, pictures, originals, size=CHUNK)


def ssim(pictures: Tensor, originals: Tensor) -> np.ndarray:
    """Returns the structural similarity ``(N,)`` of each pair, 1 for copies.

    Gaussian window of deviation 1.5 (11 x 11), borders mirrored, mean over channels.

    Args:
        pictures: uint8 ``(N, C, H, W)``, at least 11 pixels a side.
        originals: uint8, the same shape.

    Raises:
        ValueError: the shapes differ, or the pictures are smaller than the window.

    Source: Wang et al. 2004, as torchmetrics computes it.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure as measure

    if min(pictures.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs pictures of {WINDOW} pixels or more")
    return _by_pair(
        lambda a, b: measure(a, b, data_range=255.0, reduction="none"), pictures, originals
    )


def ms_ssim(pictures: Tensor, originals: Tensor) -> np.ndarray:
    """Returns the multi-scale structural similarity ``(N,)`` of each pair, 1 for copies.

    Five scales from 176 pixels on; smaller pictures have the finest of them, see `num_scales`,
    with weights that again sum to 1. Negative contrasts count as 0.

    Args:
        pictures: uint8 ``(N, C, H, W)``, at least 11 pixels a side.
        originals: uint8, the same shape.

    Raises:
        ValueError: the shapes differ, or the pictures are too small.

    Source: Wang et al. 2003, as torchmetrics computes it.
    """
    from torchmetrics.functional.image import (
        multiscale_structural_similarity_index_measure as measure,
    )

    scales = num_scales(min(pictures.shape[-2:]))
    weights = tuple(weight / sum(SCALE_WEIGHTS[:scales]) for weight in SCALE_WEIGHTS[:scales])
    return _by_pair(
        lambda a, b: measure(
            a, b, data_range=255.0, reduction="none", betas=weights, normalize="relu"
        ),
        pictures,
        originals,
    )  # fmt: skip


def num_scales(side: int) -> int:
    """Returns how many scales of MS-SSIM pictures of that shorter side have.

    Example:
        >>> num_scales(256), num_scales(64), num_scales(28)
        (5, 3, 2)
    """
    if side < WINDOW:
        raise ValueError(f"MS-SSIM needs pictures of {WINDOW} pixels or more")
    fits = [n for n in range(2, 6) if side // (n - 1) ** 2 >= WINDOW]
    return max(fits)


def _by_pair(
    measure: Callable[[Tensor, Tensor], Any], pictures: Tensor, originals: Tensor
) -> np.ndarray:
    if pictures.shape != originals.shape:
        shapes = f"{tuple(pictures.shape)} and {tuple(originals.shape)}"
        raise ValueError(f"pairs need equal shapes, got {shapes}")
    for x in (pictures, originals):
        if x.dtype != torch.uint8:
            raise TypeError(f"pictures must be uint8 (0 to 255), got {x.dtype}")

    # In double: the variance of flat regions is a difference of large squares.
    def measured(a: Tensor, b: Tensor) -> Tensor:
        rows: Tensor = measure(a.double(), b.double()).reshape(-1)
        return rows

    return by_chunk(measured, pictures, originals, size=CHUNK)
