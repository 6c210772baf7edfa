"""Mirroring, turning and zooming of all that the critic sees (Karras et al. 2020, 2006.06676).

All are linear in the pictures and built from operations that can be differentiated any number of
times; ``grid_sample`` cannot be differentiated twice, so the warp gathers its own neighbours.
"""

import math

import torch
from torch import Tensor

ZOOM = 0.35
"""Largest zoom in octaves: as spread as the paper's 2 ** N(0, 0.2), without its tails."""


def mirrored(images: Tensor, number: Tensor) -> Tensor:
    """Returns images ``(N, C, H, W)``, flipped left to right where number ``(N,)`` < 0.5."""
    return torch.where((number < 0.5)[:, None, None, None], images.flip(-1), images)


def turned(images: Tensor, number: Tensor) -> Tensor:
    """Returns square images turned by 0, 1, 2 or 3 quarters for number ``(N,)`` in [0, 1)."""
    quarters = (4 * number).long()[:, None, None, None]
    images = torch.where(quarters % 2 == 1, images.rot90(1, (2, 3)), images)
    return torch.where(quarters >= 2, images.flip((2, 3)), images)


def warped(images: Tensor, zoom: Tensor, angle: Tensor) -> Tensor:
    """Returns images ``(N, C, H, W)`` zoomed and rotated about their middle.

    Beyond the border the picture goes on mirrored. Between pixels it is interpolated by cubics
    (Keys 1981, a = -0.5): what bilinear interpolation leaves of fine detail would teach the critic
    that blur is real.

    Args:
        images: square.
        zoom: ``(N,)`` in [0, 1); 0.5 leaves the size, 1 enlarges by 2 ** `ZOOM`.
        angle: ``(N,)`` in [0, 1), of a whole turn.
    """
    n, c, h, w = images.shape
    turn = 2 * math.pi * angle
    shrink = torch.exp2(-ZOOM * (2 * zoom - 1))
    cos, sin = (shrink * turn.cos())[:, None], (shrink * turn.sin())[:, None]
    y = (torch.arange(h, device=images.device) - (h - 1) / 2).repeat_interleave(w)
    x = (torch.arange(w, device=images.device) - (w - 1) / 2).repeat(h)
    # Where each pixel comes from, (N, H * W).
    rows, row_weights = _neighbours(cos * y - sin * x + (h - 1) / 2, h)
    columns, column_weights = _neighbours(sin * y + cos * x + (w - 1) / 2, w)
    flat = images.flatten(2)
    out = torch.zeros_like(flat)
    for row, down in zip(rows, row_weights, strict=True):
        for column, right in zip(columns, column_weights, strict=True):
            index = (row * w + column)[:, None].expand(-1, c, -1)
            out = out + flat.gather(2, index) * (down * right)[:, None].to(images.dtype)
    return out.view(n, c, h, w)


def _neighbours(place: Tensor, side: int) -> tuple[list[Tensor], list[Tensor]]:
    """Returns the four pixels about each place along an axis, and how much each counts."""
    base = place.floor()
    t = place - base
    weights = [
        ((-0.5 * t + 1) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1,
        ((-1.5 * t + 2) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]
    pixels = []
    for offset in (-1, 0, 1, 2):
        # The border pixel stands twice: ... 1 0 | 0 1 2 ...
        pixel = (base.long() + offset).remainder(2 * side)
        pixels.append(torch.minimum(pixel, 2 * side - 1 - pixel))
    return pixels, weights
