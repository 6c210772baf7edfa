"""The sliced Wasserstein distance of patches, scale by scale, without any network.

Each level of a Laplacian pyramid is a set of small patches; two sets are compared along random
directions. Patches are standardised by the *real* set alone: standardised each by itself, as in
the source, pictures of wrong colour or contrast would score like right ones.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hiresvae.metrics.laplacian import laplacian_pyramid
from hiresvae.seeding import generator

PATCH = 7
# The rest of the pyramid is 14 to 27 pixels wide; smaller pictures are one level.
LEAST_BAND = 4 * PATCH
PER_PICTURE = 128
# Patches of one set at one level: 80 MB of numbers, however many pictures there are.
MOST_PATCHES = 1 << 16
DIRECTIONS, REPEATS = 128, 4
CHUNK = 16


class SlicedWasserstein(NamedTuple):
    """Distances by side of the pyramid's level, fine to coarse, and their mean; all times 1000."""

    by_side: dict[int, float]
    mean: float


def sliced_wasserstein(fakes: Tensor, reals: Tensor, *, seed: int = 0) -> SlicedWasserstein:
    """Returns the sliced Wasserstein distance of patches at each scale, times 1000.

    At each level 7 x 7 patches (as many of either set, at most 128 a picture and 65,536 in all) are
    standardised by channel with the real patches' mean and deviation; along 4 x 128 random
    directions the mean distance of the sorted projections is taken. 0 for identical sets; about 20
    and more above the noise is visible.

    Args:
        fakes: uint8 ``(N, C, H, W)``.
        reals: uint8 ``(M, C, H, W)`` of the same shape a picture, at least 7 pixels a side.
        seed: of places and directions, which are the same in both sets.

    Raises:
        ValueError: the shapes differ, or the pictures are smaller than a patch.

    Source: Karras et al. 2018, arXiv 1710.10196, section 5, except for the standardisation.
    """
    if fakes.shape[1:] != reals.shape[1:]:
        shapes = f"{tuple(fakes.shape[1:])} and {tuple(reals.shape[1:])}"
        raise ValueError(f"patches are compared at one shape, got {shapes}")
    if min(fakes.shape[-2:]) < PATCH:
        raise ValueError(f"patches need pictures of {PATCH} pixels or more")
    count = min(PER_PICTURE * min(len(fakes), len(reals)), MOST_PATCHES)
    distances = {}
    a, b = _patches(fakes, count, seed), _patches(reals, count, seed)
    for side in list(b):
        distances[side] = 1000 * _distance(a.pop(side), b.pop(side), seed)
    return SlicedWasserstein(distances, float(np.mean(list(distances.values()))))


def _patches(pictures: Tensor, count: int, seed: int) -> dict[int, Tensor]:
    """Returns patches ``(count, C, 7, 7)`` by side of the level, spread evenly over pictures."""
    n, c, h, w = pictures.shape
    if pictures.dtype != torch.uint8:
        raise TypeError(f"pictures must be uint8 (0 to 255), got {pictures.dtype}")
    if count < n:  # as many pictures as patches, from all over the set
        order = torch.randperm(n, generator=generator(seed, "swd", "pictures"))[:count]
        pictures, n = pictures[order.sort().values], count
    blank = torch.zeros(1, 1, h, w)
    levels = [tuple(band.shape[-2:]) for band in laplacian_pyramid(blank, smallest=LEAST_BAND)]
    # Patch i is of picture i mod n, so the first pictures may have one patch more than the last.
    each = -(-count // n)
    full = count - n * (each - 1)
    out = {min(size): torch.empty(count, c, PATCH, PATCH) for size in levels}
    # The same places in both sets: a set against itself is exactly 0.
    places = [
        torch.stack([torch.randint(side - PATCH + 1, (each, n), generator=rng) for side in size])
        for size, rng in ((s, generator(seed, "swd", *s)) for s in levels)
    ]
    for first in range(0, n, CHUNK):
        part = pictures[first : first + CHUNK].float().div(255)
        bands = laplacian_pyramid(part, smallest=LEAST_BAND)
        for size, place, band in zip(levels, places, bands, strict=True):
            windows = band.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
            for j in range(each):
                rows = torch.arange(len(part))
                if j == each - 1:
                    rows = rows[rows + first < full]
                y, x = place[:, j, first + rows]
                out[min(size)][j * n + first + rows] = windows[rows, :, y, x].cpu()
    return out


def _distance(a: Tensor, b: Tensor, seed: int) -> float:
    """Returns the sliced distance of patches ``(P, C, 7, 7)``, standardised by those of b."""
    mean = b.double().mean((0, 2, 3), keepdim=True).float()
    # A channel that is the same everywhere in the real set: one level of 8 bits counts as 1.
    std = b.double().std((0, 2, 3), keepdim=True).clamp(min=1 / 255).float()
    a, b = ((x - mean).div(std).flatten(1) for x in (a, b))
    rng = generator(seed, "swd", "directions")
    total = 0.0
    for _ in range(REPEATS):
        directions = torch.randn(a.shape[1], DIRECTIONS, generator=rng)
        directions /= directions.norm(dim=0)
        one, two = ((x @ directions).T.contiguous().sort(dim=1).values for x in (a, b))
        total += (one - two).abs().double().mean().item()
    return total / REPEATS
