"""Arithmetic for the drawn faces that gives the same bits on every machine.

Only operations that IEEE 754 rounds exactly (+ - * / sqrt, comparisons, floor) are used, because
the last bit of library functions such as ``exp`` or ``sin`` varies between machines and would
change the digest of a picture.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
Colour = tuple[float, float, float]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_WHITE = (0.95047, 1.0, 1.08883)  # D65, as CIELAB's reference white


def _mix64(z: int) -> int:
    """Return the splitmix64 finaliser of ``z`` (a bijection of 64-bit integers)."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def uniforms(seed: int, index: int, stream: int, count: int) -> Field:
    """Return ``count`` numbers in [0, 1) that depend on the three keys alone (splitmix64)."""
    key = 0
    for part in (seed, index, stream):
        key = _mix64((key ^ (part & _MASK)) + _GOLDEN & _MASK)
    z = np.uint64(key) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * (1.0 / (1 << 53))


def clamp(value: float, low: float = 0.0, high: float = 1.0) -> float:
    """Return ``value`` limited to [low, high]."""
    return low if value < low else high if value > high else value


def ramp(value: float, start: float, end: float) -> float:
    """Return a smooth step of ``value`` from 0 at ``start`` to 1 at ``end`` (a cubic)."""
    t = clamp((value - start) / (end - start))
    return t * t * (3.0 - 2.0 * t)


def unit(field: Field) -> Field:
    """Return ``field`` limited to [0, 1]."""
    # The method: maximum and minimum with a scalar take several times as long.
    return field.clip(0.0, 1.0)


def step(field: Field, start: float, end: float) -> Field:
    """Return a smooth step of a field from 0 at ``start`` to 1 at ``end`` (a cubic)."""
    t = field - start
    t *= 1.0 / (end - start)
    t.clip(0.0, 1.0, out=t)
    return smooth(t)


def smooth(t: Field) -> Field:
    """Return 3 t^2 - 2 t^3, a smooth step over [0, 1]."""
    rise = t * -2.0
    rise += 3.0
    rise *= t
    rise *= t
    return rise


def bump(dx: Field, dy: Field, rx: float, ry: float) -> Field:
    """Return a round hill of height 1 at (0, 0) and 0 beyond the ellipse of radii rx, ry."""
    dx = dx * (1.0 / rx)
    dy = dy * (1.0 / ry)
    dx *= dx
    hill = (1.0 - dy * dy) - dx
    hill.clip(0.0, 1.0, out=hill)
    hill *= hill
    return hill


def add_bump(
    field: Field, amount: float | Field, dx: Field, dy: Field, rx: float, ry: float
) -> None:
    """Add ``amount`` times a `bump` to a field in place, touching only the rows that it reaches.

    ``dy`` must be a column (h, 1) that increases downwards.
    """
    first, last = np.searchsorted(dy[:, 0], (-ry, ry))
    if first < last:
        hill = bump(dx[first:last] if len(dx) > 1 else dx, dy[first:last], rx, ry)
        hill *= amount
        field[first:last] += hill


def line(distance: Field, width: float) -> Field:
    """Return a soft stroke: 1 where ``distance`` is 0, falling to 0 at ``width``."""
    hill = distance * (1.0 / width)
    hill *= hill
    np.subtract(1.0, hill, out=hill)
    hill.clip(0.0, 1.0, out=hill)
    hill *= hill
    return hill


def wave(turns: Field) -> Field:
    """Return nearly the sine of ``turns`` full turns (parabolas, error below 0.002)."""
    t = turns - np.floor(turns + 0.5)
    s = 8.0 * t - 16.0 * t * np.abs(t)
    return s * (0.775 + 0.225 * np.abs(s))


def sin_cos(degrees: float) -> tuple[float, float]:
    """Return sine and cosine of an angle of at most 90 degrees, by their power series."""
    a = degrees * (math.pi / 180.0)
    sine, cosine, term = 0.0, 0.0, 1.0
    for k in range(0, 26, 2):
        sign = 1.0 if k % 4 == 0 else -1.0
        cosine += sign * term
        term = term * a / (k + 1)
        sine += sign * term
        term = term * a / (k + 2)
    return sine, cosine


def noise_line(t: Field, table: Field) -> Field:
    """Return smooth noise in [0, 1) along one coordinate; ``table`` has a power of two entries."""
    cell = np.floor(t)
    f = t - cell
    f = f * f * (3.0 - 2.0 * f)
    i = cell.astype(np.int64) & (table.size - 1)
    a = table[i]
    noise: Field = a + (table[(i + 1) & (table.size - 1)] - a) * f
    return noise


def noise_grid(x: Field, y: Field, table: Field) -> Field:
    """Return smooth noise in [0, 1) over a row ``x`` (1, w) and a column ``y`` (h, 1)."""
    n = 1 << ((table.size.bit_length() - 1) // 2)
    lattice = table[: n * n].reshape(n, n)
    cell_y, cell_x = np.floor(y[:, 0]), np.floor(x[0])
    fy, fx = y[:, 0] - cell_y, x[0] - cell_x
    fy, fx = fy * fy * (3.0 - 2.0 * fy), fx * fx * (3.0 - 2.0 * fx)
    iy, ix = cell_y.astype(np.int64), cell_x.astype(np.int64)
    top, bottom = lattice[iy & (n - 1)], lattice[(iy + 1) & (n - 1)]
    rows = top + (bottom - top) * fy[:, None]
    left = rows[:, ix & (n - 1)]
    noise: Field = left + (rows[:, (ix + 1) & (n - 1)] - left) * fx[None, :]
    return noise


def noise_field(x: Field, y: Field, table: Field) -> Field:
    """Return smooth noise in [0, 1) at arbitrary points (x and y of one shape)."""
    cell_x, cell_y = np.floor(x), np.floor(y)
    fx, fy = x - cell_x, y - cell_y
    fx, fy = fx * fx * (3.0 - 2.0 * fx), fy * fy * (3.0 - 2.0 * fy)
    wrap = table.size - 1
    i = cell_x.astype(np.int64) + 37 * cell_y.astype(np.int64)
    a, b = table[i & wrap], table[(i + 1) & wrap]
    c, d = table[(i + 37) & wrap], table[(i + 38) & wrap]
    top = a + (b - a) * fx
    noise: Field = top + (c + (d - c) * fx - top) * fy
    return noise


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Return the colour that is ``share`` of the way from ``a`` to ``b``."""
    return (
        a[0] + (b[0] - a[0]) * share,
        a[1] + (b[1] - a[1]) * share,
        a[2] + (b[2] - a[2]) * share,
    )


def tint(a: Colour, r: float, g: float, b: float) -> Colour:
    """Return colour ``a`` with its three parts multiplied."""
    return (a[0] * r, a[1] * g, a[2] * b)


def _cube_root(value: float) -> float:
    """Return the cube root of a number in [0.001, 2], by Newton's rule from above."""
    root = 1.3
    for _ in range(12):
        root = (2.0 * root + value / (root * root)) / 3.0
    return root


def lab_to_srgb(lightness: float, a: float, b: float) -> Colour:
    """Return the gamma-encoded sRGB colour, parts in [0, 1], of a CIELAB colour (D65)."""
    fy = (lightness + 16.0) / 116.0
    xyz = []
    for f, white in zip((fy + a / 500.0, fy, fy - b / 200.0), _WHITE, strict=True):
        low = f <= 6.0 / 29.0
        xyz.append(white * ((f - 4.0 / 29.0) * (108.0 / 841.0) if low else f * f * f))
    x, y, z = xyz
    linear = (
        3.2404542 * x - 1.5371385 * y - 0.4985314 * z,
        -0.9692660 * x + 1.8760108 * y + 0.0415560 * z,
        0.0556434 * x - 0.2040259 * y + 1.0572252 * z,
    )
    encoded = []
    for part in linear:
        part = clamp(part)
        if part <= 0.0031308:
            encoded.append(12.92 * part)
        else:
            c = _cube_root(part)
            encoded.append(1.055 * math.sqrt(math.sqrt(c * c * c * c * c)) - 0.055)
    return (encoded[0], encoded[1], encoded[2])
