"""Colour as the eye sees it."""

import torch
from torch import Tensor


def lab(rgb: Tensor) -> Tensor:
    """Returns CIE L*a*b* under D65 ``(N, 3, H, W)``, L* in 0..100.

    Args:
        rgb: sRGB ``(N, 3, H, W)`` in [0, 1].

    Source: IEC 61966-2-1 for sRGB, CIE 15 for L*a*b*.

    Example:
        >>> lab(torch.ones(1, 3, 1, 1)).flatten()[0].round().item()
        100.0
    """
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    # Each row divided by the white point's X, Y or Z.
    to_xyz = torch.tensor(
        [
            [0.4124 / 0.9505, 0.3576 / 0.9505, 0.1805 / 0.9505],
            [0.2126, 0.7152, 0.0722],
            [0.0193 / 1.089, 0.1192 / 1.089, 0.9505 / 1.089],
        ],
        device=rgb.device,
    )
    xyz = torch.einsum("ij,njhw->nihw", to_xyz, linear)
    f = torch.where(xyz > 216 / 24389, xyz.clamp_min(1e-9) ** (1 / 3), xyz * 841 / 108 + 4 / 29)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)
