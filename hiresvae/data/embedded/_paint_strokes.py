"""The brush: a list of strokes, and how a list of strokes becomes a picture.

A stroke is a long oval mark with a centre, a direction, a half length, a half width and
one colour; from near, one sees that a flat brush with bristles left it. Later strokes
cover earlier ones. Coordinates are in units of the picture's side, x to the right and y
down, so that the same list of strokes can be drawn at any size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hiresvae.data.embedded._paint_random import Array, Dice

_FINE_CANVAS = 128  # small pictures are painted at least this large, then averaged down
_RELIEF_FROM = 96  # from this size on the relief of the paint can be seen
_OVERSHOOT = 1.13  # an ellipse larger by this covers as much as the flat brush mark
_PIXELS_AT_ONCE = 1 << 19  # bounds the memory of one batch of strokes
_BRISTLES = Dice(1872).columns(1, 1024)[0]


@dataclass(frozen=True)
class Strokes:
    """Brush marks from back to front; every field is an array with one entry a stroke."""

    x: Array
    y: Array
    cosine: Array
    sine: Array
    half_length: Array
    half_width: Array
    colour: Array  # (3, count), RGB in [0, 1]

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def concatenate(cls, parts: list[Strokes]) -> Strokes:
        """All strokes of the parts, in order."""
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts], axis=-1)
                for name in cls.__dataclass_fields__
            )
        )


@dataclass(frozen=True)
class _Spans:
    """Horizontal runs of pixels, each a slice of one stroke through one pixel row."""

    stroke: NDArray[np.int64]
    row: NDArray[np.int64]
    first: NDArray[np.int64]  # first column
    count: NDArray[np.int64]  # number of columns


def _ragged(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The runs start, start + 1, ... of the given lengths, one after the other.

    They are the running sum of steps of 1, with a jump where a run begins.
    """
    filled = counts > 0
    starts, counts = starts[filled], counts[filled]
    steps = np.ones(int(np.sum(counts)), np.int64)
    if len(starts):
        steps[0] = starts[0]
        steps[np.cumsum(counts[:-1])] = starts[1:] - starts[:-1] - counts[:-1] + 1
    return np.cumsum(steps, out=steps)


def _spans(strokes: Strokes, size: int) -> _Spans:
    """Cuts every stroke into its pixel rows.

    In one pixel row an ellipse is an interval of x whose middle is linear in the row, so
    the run of covered pixels needs no test per pixel.
    """
    x, y = strokes.x * size, strokes.y * size
    c, s = strokes.cosine, strokes.sine
    a, b = strokes.half_length * (_OVERSHOOT * size), strokes.half_width * (_OVERSHOOT * size)
    a_squared, b_squared = a * a, b * b
    reach_squared = a_squared * s * s + b_squared * c * c
    reach = np.sqrt(reach_squared)
    tilt = c * s * (a_squared - b_squared) / reach_squared
    half = a * b / reach_squared
    top = np.maximum(np.ceil(y - reach - 0.5), 0.0)
    bottom = np.minimum(np.floor(y + reach - 0.5), size - 1.0)
    rows = np.maximum(bottom - top + 1.0, 0.0).astype(np.int64)
    stroke = np.repeat(np.arange(len(strokes)), rows)
    row = _ragged(top.astype(np.int64), rows)
    x, y, tilt, half, reach_squared = np.repeat(
        np.stack([x, y, tilt, half, reach_squared]), rows, axis=1
    )
    dy = row + 0.5 - y
    middle = x + tilt * dy
    half_run = half * np.sqrt(np.maximum(reach_squared - dy * dy, 0.0))
    first = np.maximum(np.ceil(middle - half_run - 0.5), 0.0)
    last = np.minimum(np.floor(middle + half_run - 0.5), size - 1.0)
    count = np.maximum(last - first + 1.0, 0.0).astype(np.int64)
    return _Spans(stroke, row, first.astype(np.int64), count)


def topmost(strokes: Strokes, size: int) -> NDArray[np.int64]:
    """The number of the stroke seen at each pixel of a (size, size) grid; 0 where bare."""
    spans = _spans(strokes, size)
    seen = np.zeros(size * size, np.int64)
    pixel = _ragged(spans.row * size + spans.first, spans.count)
    seen[pixel] = np.repeat(spans.stroke, spans.count)
    return seen.reshape(size, size)


def _topmost_with_relief(
    strokes: Strokes, size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """As `topmost`, with bristle marks, and with the height of the paint at each pixel."""
    spans = _spans(strokes, size)
    seen = np.zeros(size * size, np.int64)
    height = np.zeros(size * size)
    x, y, c, s, half_length, half_width = (
        values[spans.stroke]
        for values in (
            strokes.x * size,
            strokes.y * size,
            strokes.cosine,
            strokes.sine,
            strokes.half_length * size,
            strokes.half_width * size,
        )
    )
    dx, dy = spans.first + 0.5 - x, spans.row + 0.5 - y
    # Thicker brushes have more bristles: one about every 1/900 of the picture's side.
    columns = np.stack(
        [
            (dx * c + dy * s) / half_length,
            c / half_length,
            (dy * c - dx * s) / half_width,
            -s / half_width,
            half_width * (900.0 / size),
            (spans.stroke * 37 % 997) * 1.0,
        ]
    )
    start = spans.row * size + spans.first
    ends = np.cumsum(spans.count)
    cuts = np.searchsorted(ends, np.arange(_PIXELS_AT_ONCE, ends[-1], _PIXELS_AT_ONCE))
    for lo, hi in zip([0, *cuts], [*cuts, len(ends)], strict=True):
        count = spans.count[lo:hi]
        offset = _ragged(np.zeros_like(count), count)
        u_0, u_step, v_0, v_step, bristles, shift = np.repeat(columns[:, lo:hi], count, axis=1)
        u, v = u_0 + u_step * offset, v_0 + v_step * offset
        bristle = _BRISTLES[((v + 1.0) * bristles + shift).astype(np.int64) & 1023]
        # The brush runs dry towards its end: the low bristles leave gaps there.
        wet = (bristle > 1.5 * u - 0.8) & (np.abs(v) < 1.0)
        pixel = (np.repeat(start[lo:hi], count) + offset)[wet]
        seen[pixel] = np.repeat(spans.stroke[lo:hi], count)[wet]
        height[pixel] = (0.9 * bristle + 0.7 * (1.0 - v * v) - 0.25 * u)[wet]
    return seen.reshape(size, size), height.reshape(size, size)


def _tracks(strokes: Strokes) -> Strokes:
    """Each stroke as the three tracks that a brush with badly mixed paint leaves.

    Together they cover what the stroke covers, with its colour on average.
    """
    count = len(strokes)
    slide, light, warm, _ = Dice(1873, count).columns(4, 3 * count)
    across = np.tile(np.array([-0.64, 0.64, 0.0]), count) * np.repeat(strokes.half_width, 3)
    along = 0.5 * (slide - 0.5) * np.repeat(strokes.half_length, 3)
    c, s = np.repeat(strokes.cosine, 3), np.repeat(strokes.sine, 3)
    light, warm = 0.07 * (light - 0.5), 0.05 * (warm - 0.5)
    return Strokes(
        np.repeat(strokes.x, 3) + along * c - across * s,
        np.repeat(strokes.y, 3) + along * s + across * c,
        c,
        s,
        np.repeat(strokes.half_length, 3) * 0.92,
        np.repeat(strokes.half_width, 3) * 0.46,
        np.repeat(strokes.colour, 3, axis=1) + np.stack([light + warm, light, light - warm]),
    )


def develop(strokes: Strokes, size: int, grade: Callable[[Array], Array]) -> NDArray[np.uint8]:
    """Paints the strokes: uint8 (3, size, size).

    The canvas is painted finer than asked for and averaged down, so that a small picture
    looks like a large one seen from afar. From 96 px on, light from the upper left rakes
    over the relief of the paint.
    """
    finer = max(2, -(-_FINE_CANVAS // size))
    if size >= _RELIEF_FROM:
        strokes = _tracks(strokes)
    canvas = size * finer
    colour = np.minimum(np.maximum(grade(strokes.colour), 0.0), 1.0)
    levels = np.floor(colour * 255.0 + 0.5).astype(np.int32)
    if size < _RELIEF_FROM:
        picture = levels.take(topmost(strokes, canvas), axis=1)
    else:
        seen, height = _topmost_with_relief(strokes, canvas)
        slope = np.zeros((canvas, canvas))
        slope[1:, 1:] = height[1:, 1:] - height[:-1, :-1]
        slope = np.minimum(np.maximum(slope, -0.6), 0.6)
        shade = np.floor(32.0 * slope + 0.5).astype(np.int32)
        picture = levels.take(seen, axis=1) + shade
    cells = picture.reshape(3, size, finer, size, finer)
    total = cells[:, :, 0, :, 0].copy()
    for place in range(1, finer * finer):
        total += cells[:, :, place // finer, :, place % finer]
    mean = (total + finer * finer // 2) // (finer * finer)
    return np.minimum(np.maximum(mean, 0), 255).astype(np.uint8)
