"""The canvas that faces are painted on: coordinates, soft edges, blending, scaling down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hiresvae.data.embedded._face_maths import Colour, Field, smooth, unit

# Small pictures are painted on a finer grid and averaged, so that they show what large ones show:
# the soft surroundings on a grid of at least the first number, the face on one of the second.
_COARSE_GRID = 56
_FINE_GRID = 112

Box = tuple[slice, slice]


class Canvas:
    """A square of colour, or a part of it; x runs right and y runs down, from -1 to 1."""

    def __init__(self, n: int, rows: slice, columns: slice) -> None:
        """Make a black canvas of some rows and columns of a square of ``n`` cells a side."""
        self.n = n
        self.pixel = 2.0 / n
        self._rows, self._columns = rows, columns
        ruler = (np.arange(n, dtype=np.float64) + 0.5) * self.pixel - 1.0
        self.x: Field = ruler[None, columns]
        self.y: Field = ruler[rows, None]
        self.rgb: Field = np.zeros((3, self.y.size, self.x.size))

    @classmethod
    def for_size(cls, size: int) -> Canvas:
        """Return the canvas for a picture of ``size`` pixels a side."""
        n = size * -(-_COARSE_GRID // size)
        return cls(n, slice(0, n), slice(0, n))

    def close_up(self, x0: float, x1: float, y0: float, y1: float) -> Canvas:
        """Return a part of this canvas, as painted so far, fine enough for the face."""
        rows, columns = self.box(x0, x1, y0, y1)
        k = -(-_FINE_GRID // self.n)
        part = Canvas(
            self.n * k,
            slice(rows.start * k, rows.stop * k),
            slice(columns.start * k, columns.stop * k),
        )
        for channel in range(3):
            part.rgb[channel] = part.lift(self.rgb[channel], self.n)
        return part

    def lift(self, field: Field, n: int) -> Field:
        """Return the values of a field (n, n) of a whole canvas at the cells of this part."""
        k = self.n // n
        rows = slice(self._rows.start // k, self._rows.stop // k)
        columns = slice(self._columns.start // k, self._columns.stop // k)
        cut = field[rows, columns]
        return cut if k == 1 else np.repeat(np.repeat(cut, k, axis=0), k, axis=1)

    def absorb(self, part: Canvas) -> None:
        """Put the painting of a `close_up` back in its place."""
        k = part.n // self.n
        rows = slice(part._rows.start // k, part._rows.stop // k)
        columns = slice(part._columns.start // k, part._columns.stop // k)
        self.rgb[:, rows, columns] = _averaged(part.rgb, k)

    def box(self, x0: float, x1: float, y0: float, y1: float) -> Box:
        """Return the rows and columns of this canvas that a rectangle touches."""

        def span(low: float, high: float, part: slice) -> slice:
            first = min(max(int((low + 1.0) * 0.5 * self.n), part.start), part.stop - 1)
            last = min(max(int((high + 1.0) * 0.5 * self.n) + 1, first + 1), part.stop)
            return slice(first - part.start, last - part.start)

        return span(y0, y1, self._rows), span(x0, x1, self._columns)

    def rulers(self, box: Box) -> tuple[Field, Field]:
        """Return the x coordinates (1, w) and y coordinates (h, 1) of a box."""
        return self.x[:, box[1]], self.y[box[0], :]

    def cover(self, inside: Field, soft: float = 0.006) -> Field:
        """Return the share of each pixel that lies inside an edge.

        ``inside`` is the signed distance from the edge, positive inside; ``soft`` the least width
        of the transition, so that large pictures look painted rather than cut out.
        """
        width = max(soft, self.pixel)
        t = inside * (1.0 / width)
        t += 0.5
        t.clip(0.0, 1.0, out=t)
        return smooth(t)

    def stroke(self, distance: Field, half: float | Field) -> Field:
        """Return the coverage of a line of half width ``half``; thin lines fade, not vanish."""
        reach = half + 0.5 * self.pixel
        t = unit(1.0 - np.abs(distance) / reach)
        return unit(t * (1.6 * half / reach + 0.2))

    def blend(self, box: Box, colour: Colour | Field, alpha: Field) -> None:
        """Paint a colour, or a field of colours (3, h, w), over a box with opacity ``alpha``."""
        paint = np.array(colour)[:, None, None] if isinstance(colour, tuple) else colour
        region = self.rgb[:, box[0], box[1]]
        change = paint - region
        change *= alpha
        region += change

    def shade(self, box: Box, colour: Colour, amount: Field) -> None:
        """Multiply a box by ``colour`` where ``amount`` is 1, leaving it where it is 0."""
        region = self.rgb[:, box[0], box[1]]
        region *= 1.0 - (1.0 - np.array(colour)[:, None, None]) * amount

    def picture(self, size: int) -> NDArray[np.uint8]:
        """Return the finished picture: uint8 (3, size, size)."""
        rgb = _averaged(self.rgb, self.n // size)
        return np.floor(unit(rgb) * 255.0 + 0.5).astype(np.uint8)


def _averaged(rgb: Field, k: int) -> Field:
    """Return the means of blocks of k by k cells, summed in one fixed order."""
    if k == 1:
        return rgb
    total = rgb[:, :, 0::k].copy()
    for i in range(1, k):
        total += rgb[:, :, i::k]
    mean = total[:, 0::k].copy()
    for i in range(1, k):
        mean += total[:, i::k]
    mean *= 1.0 / (k * k)
    return mean


def ramp_colours(base: Colour, shadow: Colour, tone: Field) -> Field:
    """Return colours (3, h, w) that run from ``base * shadow`` at tone 0 to ``base`` at 1."""
    high = np.array(base)[:, None, None]
    low = high * np.array(shadow)[:, None, None]
    colours: Field = tone * (high - low)
    colours += low
    return colours
