"""The painter: lays strokes with broken colour and can look back at the painting so far."""

from __future__ import annotations

import numpy as np

from hiresvae.data.embedded._paint_light import Light
from hiresvae.data.embedded._paint_random import Array, Dice
from hiresvae.data.embedded._paint_strokes import Strokes, topmost

_DETAIL = 0.75  # how many strokes cover a surface: the trade of beauty for speed
_COARSER = 1.0 / float(np.sqrt(_DETAIL))  # and how large they must be to cover it
_STUDY = 48  # side of the rough view used to look at the painting so far


class Painter:
    """One painting in progress: its strokes so far, its light and its dice.

    Things (a boat, a lily pad) are made of `scatter` and `lay`; surfaces (the sky, a
    meadow) of `cover` and `dab`, which one knob makes finer or coarser.

    Args:
        dice: the picture's random numbers.
        light: its palette.
    """

    def __init__(self, dice: Dice, light: Light) -> None:
        self.dice = dice
        self.light = light
        self._parts: list[Strokes] = []

    @property
    def strokes(self) -> Strokes:
        """All strokes so far, from back to front."""
        if len(self._parts) > 1:
            self._parts = [Strokes.concatenate(self._parts)]
        return self._parts[0]

    def scatter(
        self,
        count: int,
        left: float = 0.0,
        top: float = 0.0,
        right: float = 1.0,
        bottom: float = 1.0,
    ) -> tuple[Array, Array]:
        """Places spread evenly over a rectangle, in an order that jumps about.

        They are a jittered slice of the R2 sequence (multiples of the powers of the
        plastic number), which leaves no large gaps for any count.
        """
        steps = np.arange(count, dtype=np.float64)
        jitter_x, jitter_y = self.dice.columns(2, count) * (0.7 / float(np.sqrt(count + 1.0)))
        x = steps * 0.7548776662466927 + self.dice.uniform() + jitter_x
        y = steps * 0.5698402909980532 + self.dice.uniform() + jitter_y
        return (left + (right - left) * (x - np.floor(x)), top + (bottom - top) * (y - np.floor(y)))

    def cover(
        self,
        count: int,
        left: float = 0.0,
        top: float = 0.0,
        right: float = 1.0,
        bottom: float = 1.0,
    ) -> tuple[Array, Array]:
        """As `scatter`, for the strokes of a surface: the count follows the knob."""
        return self.scatter(int(count * _DETAIL), left, top, right, bottom)

    def lay(
        self,
        x: Array,
        y: Array,
        colour: Array,
        length: Array | float,
        width: Array | float,
        slope_x: Array | float = 1.0,
        slope_y: Array | float = 0.0,
        broken: Array | float = 0.06,
        loose: Array | float = 0.25,
    ) -> None:
        """Lays one stroke at each place.

        Args:
            x: the strokes' middles, (count,).
            y: the same.
            colour: (3, count) or (3, 1), RGB in [0, 1].
            length: half the length of a stroke.
            width: half its width.
            slope_x: the direction of the stroke is (slope_x, slope_y), of length about 1.
            slope_y: the same.
            broken: how far neighbouring strokes differ in colour.
            loose: how far they differ in direction.
        """
        count = len(x)
        if count == 0:
            return
        light, warm, tint, turn_x, turn_y, longer, wider, _ = self.dice.columns(8, count)
        direction_x = slope_x + (2.0 * loose) * (turn_x - 0.5)
        direction_y = slope_y + (2.0 * loose) * (turn_y - 0.5)
        norm = np.sqrt(direction_x * direction_x + direction_y * direction_y + 1e-9)
        # Broken colour: lighter or darker, warmer or cooler, greener or pinker.
        light, warm, tint = 2.0 * light - 1.0, 1.8 * warm - 0.9, 1.0 * tint - 0.5
        shift = np.stack([light + warm + tint, light - 1.2 * tint, light - 1.2 * warm + tint])
        self._parts.append(
            Strokes(
                x,
                y,
                direction_x / norm,
                direction_y / norm,
                length * (0.7 + 0.6 * longer),
                width * (0.75 + 0.5 * wider),
                colour + broken * shift,
            )
        )

    def dab(
        self,
        x: Array,
        y: Array,
        colour: Array,
        length: Array | float,
        width: Array | float,
        slope_x: Array | float = 1.0,
        slope_y: Array | float = 0.0,
        broken: Array | float = 0.06,
        loose: Array | float = 0.25,
        block_in: float = 0.0,
    ) -> None:
        """Lays the strokes of a surface; their size follows the knob.

        Args:
            x: as in `lay`, and so on to loose.
            y: see x.
            colour: see x.
            length: see x.
            width: see x.
            slope_x: see x.
            slope_y: see x.
            broken: see x.
            loose: see x.
            block_in: where above 0, every fifth stroke is first laid this much larger and a
                little darker, so that no gaps show between the finer ones.
        """
        length, width = length * _COARSER, width * _COARSER
        if block_in > 0.0:
            long, wide, along_x, along_y, uneven, turned = (
                np.broadcast_to(value, len(x))[::5]
                for value in (length, width, slope_x, slope_y, broken, loose)
            )
            under = 0.93 * np.broadcast_to(colour, (3, len(x)))[:, ::5]
            self.lay(
                x[::5],
                y[::5],
                under,
                block_in * long,
                block_in * wide,
                along_x,
                along_y,
                uneven,
                turned,
            )
        self.lay(x, y, colour, length, width, slope_x, slope_y, broken, loose)

    def look(self, x: Array, y: Array) -> Array:
        """The colours of the painting so far at some places: (3, count)."""
        seen = topmost(self.strokes, _STUDY)
        # A glance is not exact: without this the cells of the rough view would show.
        astray = self.dice.columns(2, len(x)) - 0.5
        place = np.stack([x, y]) * _STUDY + astray
        column, row = np.minimum(np.maximum(place, 0.0), _STUDY - 1.0).astype(np.int64)
        return self.strokes.colour[:, seen[row, column]]
