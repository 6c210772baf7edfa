"""How abrupt edges are, whatever their contrast.

Unsharp masking raises this figure (noise hardly does): it says "blurred" reliably, "sharp" only
beside the spectrum and the sliced Wasserstein distance.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from hiresvae.metrics.chunks import by_chunk
from hiresvae.metrics.results import bootstrap
from hiresvae.metrics.sharpness import CHUNK, Ratio, luma

# The steepest pixels of a picture: its edges, of which a landscape has about so many.
EDGE_SHARE = 0.05
WINDOW = 7
# Steps below one level of 8 bits are no edges.
LEAST_RANGE = 2 / 255


def edge_acutance(pictures: Tensor) -> np.ndarray:
    """Returns how steep the edges of each picture are ``(N,)``, per pixel: 0.5 is an ideal step.

    Mean over the steepest 5 % of pixels of the brightness gradient (central differences) divided by
    the range of brightness in the 7 x 7 pixels around. A Gaussian blur of deviation s makes a long
    straight step fall to about 1 / (s sqrt(2 pi)). NaN for a picture without any edge.

    Args:
        pictures: uint8 ``(N, C, H, W)``, at least 9 pixels a side.

    Raises:
        ValueError: the pictures are too small.

    Source: the acutance of photographic edges (Higgins and Jones 1952), with the range of the
    neighbourhood for the density difference, so that contrast does not count.
    """
    if min(pictures.shape[-2:]) < WINDOW + 2:
        raise ValueError(f"edges need pictures of {WINDOW + 2} pixels or more")
    return by_chunk(_acutance, pictures, size=CHUNK)


def _acutance(part: Tensor) -> Tensor:
    y = luma(part)[:, None]
    gx = (y[..., 1:-1, 2:] - y[..., 1:-1, :-2]) / 2
    gy = (y[..., 2:, 1:-1] - y[..., :-2, 1:-1]) / 2
    steep = torch.hypot(gx, gy)
    pad = WINDOW // 2
    span = max_pool2d(y, WINDOW, 1, pad) + max_pool2d(-y, WINDOW, 1, pad)
    span = span[..., 1:-1, 1:-1].flatten(1)
    steep = steep.flatten(1)
    count = max(1, round(EDGE_SHARE * steep.shape[1]))
    top, places = steep.topk(count, dim=1)
    around = span.gather(1, places)
    relative = torch.where(around >= LEAST_RANGE, top / around, torch.nan)
    return relative.double().nanmean(1)


def acutance_ratio(fakes: Tensor, reals: Tensor, *, seed: int = 0) -> Ratio:
    """Returns the mean edge acutance of fakes over that of reals; below 1 is blurred.

    Pictures without any edge are left out.

    Args:
        fakes: uint8 ``(N, C, H, W)``.
        reals: uint8 ``(M, C, H, W)`` of the same height and width.
        seed: of the interval's redrawing.

    Raises:
        ValueError: the sides differ.
    """
    if fakes.shape[-2:] != reals.shape[-2:]:
        sides = f"{tuple(fakes.shape[-2:])} and {tuple(reals.shape[-2:])}"
        raise ValueError(f"acutance is compared at one size, got {sides}")
    return steepness_ratio(edge_acutance(fakes), edge_acutance(reals), seed=seed)


def steepness_ratio(fakes: np.ndarray, reals: np.ndarray, *, seed: int = 0) -> Ratio:
    """Returns :func:`acutance_ratio` of the acutances ``(N,)`` and ``(M,)`` of pictures."""
    a, b = (values[np.isfinite(values)] for values in (fakes, reals))
    if not len(b):
        return Ratio(float("nan"), (float("nan"), float("nan")))
    if not len(a):  # flat pictures beside real ones: as blurred as can be
        return Ratio(0.0, (0.0, 0.0))

    def ratio(x: np.ndarray, y: np.ndarray) -> float:
        return float(x.mean() / y.mean())

    return Ratio(ratio(a, b), bootstrap(ratio, a, b, seed=seed))
