"""Distances between a picture and its reconstruction, pair by pair."""

import numpy as np
import torch
from torch import Tensor

# Rounding to whole levels alone has this mean squared error: no copy is measured as closer.
ROUNDING = 1 / 12


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
    errors = (pictures.float() - originals.float()).square().mean(dim=(1, 2, 3)).double()
    return (10 * torch.log10(255**2 / errors.clamp(min=ROUNDING))).cpu().numpy()
