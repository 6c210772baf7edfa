"""Simple measurements of attributes from the pixels of aligned portraits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
Rectangle = tuple[float, float, float, float]

# Rectangles (x0, x1, y0, y1) in the coordinates of the canvas, from -1 to 1.
_MIDDLE: Rectangle = (-0.21, 0.21, 0.055, 0.145)
_LEFT_CHEEK: Rectangle = (-0.24, -0.14, 0.05, 0.16)
_RIGHT_CHEEK: Rectangle = (0.14, 0.24, 0.05, 0.16)
_CROWN: Rectangle = (-0.20, 0.20, -0.76, -0.60)

_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def _lab(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return CIELAB (..., 3) of gamma-encoded sRGB (..., 3) with parts in [0, 1]."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    t = linear @ _TO_XYZ.T / _WHITE
    f = np.where(t > (6.0 / 29.0) ** 3, np.cbrt(t), t * (841.0 / 108.0) + 4.0 / 29.0)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1)


def _patch_lab(pictures: Pictures, rectangle: Rectangle) -> NDArray[np.float64]:
    """Return CIELAB (N, 3) of the median colour of a rectangle of each picture."""
    height, width = pictures.shape[2:]
    x0, x1, y0, y1 = ((c + 1.0) * 0.5 for c in rectangle)
    rows = slice(int(y0 * height), max(int(y1 * height), int(y0 * height) + 1))
    columns = slice(int(x0 * width), max(int(x1 * width), int(x0 * width) + 1))
    patch = pictures[:, :, rows, columns].reshape(len(pictures), 3, -1)
    return _lab(np.median(patch, axis=2) / 255.0)


def _skin_tone(pictures: Pictures) -> NDArray[np.float64]:
    """Return the typology angle in degrees of nose and cheeks, which every head turn shows."""
    lightness, _, yellow = _patch_lab(pictures, _MIDDLE).T
    angle: NDArray[np.float64] = np.degrees(np.arctan2(lightness - 50.0, np.maximum(yellow, 1.0)))
    return angle


def _hair_light(pictures: Pictures) -> NDArray[np.float64]:
    """Return the lightness L* of the hair on top of the head."""
    return _patch_lab(pictures, _CROWN)[:, 0]


def _light_side(pictures: Pictures) -> NDArray[np.float64]:
    """Return the lightness L* of the right cheek less that of the left one."""
    return _patch_lab(pictures, _RIGHT_CHEEK)[:, 0] - _patch_lab(pictures, _LEFT_CHEEK)[:, 0]


MEASURES: dict[str, Callable[[Pictures], NDArray[np.float64]]] = {
    "skin_tone": _skin_tone,
    "hair_light": _hair_light,
    "light_side": _light_side,
}
