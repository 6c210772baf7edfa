"""Random numbers and smooth noise that come out the same on every machine.

Everything here is integer arithmetic on 64 bits and IEEE-exact float64 operations
(``+ - * /``, ``floor``, comparisons), so a picture never depends on a library's random
generator or on how a machine rounds ``exp`` or ``sin``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
T = TypeVar("T")

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


def splitmix(value: int) -> int:
    """Scrambles a 64-bit integer: the finaliser of the SplitMix64 generator."""
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * _MIX_1) & _MASK
    value = ((value ^ (value >> 27)) * _MIX_2) & _MASK
    return value ^ (value >> 31)


def _splitmix_array(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Does what `splitmix` does, on every element (unsigned arithmetic wraps around)."""
    value = value + np.uint64(_GOLDEN)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(_MIX_1)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(_MIX_2)
    return value ^ (value >> np.uint64(31))


class Dice:
    """A stream of random numbers that belongs to one picture.

    Args:
        keys: integers that name the stream, for example the seed and the picture's index.
    """

    def __init__(self, *keys: int) -> None:
        state = 0
        for key in keys:
            state = splitmix(state ^ splitmix(key & _MASK))
        self._state = state

    def _next(self) -> int:
        self._state = (self._state + _GOLDEN) & _MASK
        return splitmix(self._state)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number from [low, high)."""
        return low + (high - low) * ((self._next() >> 11) / (1 << 53))

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + self._next() % (high - low + 1)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform() < probability

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, all equally likely."""
        return options[self._next() % len(options)]

    def columns(self, rows: int, count: int) -> Array:
        """Uniform numbers in [0, 1), shape (rows, count): 16 random bits each."""
        words = np.arange(count * ((rows + 3) // 4), dtype=np.uint64) + np.uint64(self._next())
        bits = _splitmix_array(words).astype("<u8").view("<u2").reshape(-1, count)[:rows]
        return bits * (1.0 / 65536.0)


_LATTICE = 128


def _bilinear_table() -> Array:
    """For each lattice cell the four coefficients of a + b u + c v + d u v."""
    corner = Dice(1874).columns(_LATTICE, _LATTICE)  # 1874: the first exhibition
    right, below = np.roll(corner, -1, axis=1), np.roll(corner, -1, axis=0)
    opposite = np.roll(below, -1, axis=1)
    table = [corner, right - corner, below - corner, corner + opposite - right - below]
    return np.stack(table, axis=-1).reshape(-1, 4)


_TABLE = _bilinear_table()


def noise(x: Array, y: Array) -> Array:
    """Smooth value noise in [0, 1] with features about one unit wide."""
    column, row = np.floor(x), np.floor(y)
    u, v = x - column, y - row
    u *= u * (3.0 - 2.0 * u)
    v *= v * (3.0 - 2.0 * v)
    cell = (row.astype(np.int64) & (_LATTICE - 1)) * _LATTICE
    cell += column.astype(np.int64) & (_LATTICE - 1)
    a, b, c, d = _TABLE.take(cell, axis=0).T
    value: Array = a + b * u + v * (c + d * u)
    return value


def fractal(x: Array, y: Array) -> Array:
    """Noise with a second, finer octave, in [0, 1]."""
    return 0.65 * noise(x, y) + 0.35 * noise(2.3 * x + 17.2, 2.3 * y + 31.7)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below low, 1 above high, a smooth cubic between."""
    t = np.minimum(np.maximum((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


def bump(value: Array) -> Array:
    """A smooth bell: 1 at 0, falling to 0 at -1 and 1."""
    t = np.maximum(1.0 - value * value, 0.0)
    return t * t


def wave(turns: Array) -> Array:
    """A sine-like wave of period 1 in [-1, 1], made of parabolas."""
    s = 2.0 * (turns - np.floor(turns)) - 1.0
    return -4.0 * s * (1.0 - np.abs(s))
