"""The conditions a painting is made under, and the colours that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hiresvae.data.embedded._paint_random import Array


@dataclass(frozen=True)
class Conditions:
    """What the painter found outdoors. All values but warmth lie in [0, 1]."""

    time_of_day: float  # 0 dawn, 0.25 morning, 0.5 noon, 0.75 golden hour, 0.9 sunset, 1 dusk
    season: float  # 0 spring, 0.35 summer, 0.7 autumn, 1 winter
    fog: float  # 0 clear, 1 thick
    cloudiness: float  # 0 clear sky, 1 overcast
    warmth: float  # -1 a cool palette, 1 a warm one
    horizon: float  # height of the horizon or far shore: 0 top edge, 1 bottom edge
    sun_x: float  # where the light comes from: 0 left edge, 1 right edge
    breeze: float  # 0 still water and calm brush, 1 rough water and lively brush
    chroma: float  # 0 muted, silvery colours, 1 vivid ones
    key: float  # 0 a dark, deep painting, 1 a light, airy one


def hue(code: str) -> Array:
    """The colour of a code such as "#8fb2d8": (3, 1), RGB in [0, 1]."""
    return np.array([[int(code[k : k + 2], 16) / 255.0] for k in (1, 3, 5)])


def mix(first: Array, second: Array, share: Array | float) -> Array:
    """First where share is 0, second where it is 1."""
    return first + (second - first) * share


def _between(keys: list[tuple[float, Array]], at: float) -> Array:
    """Linear interpolation in a table of (position, value)."""
    for (low, first), (high, second) in pairwise(keys):
        if at <= high:
            return mix(first, second, max(at - low, 0.0) / (high - low))
    return keys[-1][1]


def _table(*rows: str) -> list[tuple[float, Array]]:
    """Parses rows of "position colour colour ..." into (position, (colours, 3, 1))."""
    cells = [row.split() for row in rows]
    return [(float(cell[0]), np.stack([hue(code) for code in cell[1:]])) for cell in cells]


_DAY = _table(
    # time zenith low sky  cloud    its shade sunlight shadow haze
    "0.00 #7c90bc #f0bfa6 #f7d3b8 #8f90b6 #ffd9c4 #7c83b8 #b7b3cb",
    "0.25 #86aede #f4e9d2 #fff8ea #a7b4d2 #fff4e2 #7f93c4 #c9d5e4",
    "0.50 #4c88cf #bfe0ee #ffffff #9db2d2 #fffaec #6f8cc8 #b4d0e6",
    "0.75 #78a4cc #fadf9f #fff0c0 #b79eb4 #ffe2a0 #7a7cc0 #e6cfb0",
    "0.90 #6870ae #fb9a52 #ffb672 #8d6a9c #ffb273 #6e62ac #cf9a98",
    "1.00 #36478a #a685b0 #b994ba #4c588e #a9a3d6 #4a4f96 #7882b4",
)
_YEAR = _table(
    # season leaf in light, leaf in shade, second leaf, meadow in light, meadow in shade
    "0.00 #cfd763 #4f8550 #efb9c6 #b4cf62 #5f9a5c",
    "0.35 #93b84a #2a6148 #c3c65a #9dbe52 #4c8450",
    "0.55 #a8ae48 #35614a #d3a848 #c0b859 #6f8650",
    "0.70 #eeaa3f #8c4a36 #d4602f #d3b25c #8f7a4a",
    "0.86 #c78a52 #6e5060 #b0735a #b9aa84 #80788a",
    "1.00 #cbc6d2 #6d6a90 #a596a8 #f1f1f4 #aab4da",
)


class Light:
    """The palette of one painting; colours are (3, 1) arrays, RGB in [0, 1]."""

    def __init__(self, conditions: Conditions) -> None:
        self.conditions = conditions
        day = _between(_DAY, conditions.time_of_day)
        pearl = (day[1] + day[3] + day[6]) * 0.32
        overcast = max(conditions.cloudiness - 0.55, 0.0) * 1.1
        self.zenith = mix(day[0], pearl, overcast)
        self.low_sky = mix(day[1], pearl, 0.6 * overcast)
        self.cloud, self.cloud_shade = day[2], day[3]
        self.sun, self.shadow = mix(day[4], hue("#e8e8ee"), 0.7 * overcast), day[5]
        self.haze = mix(day[6], self.low_sky, 0.35)
        self.leaf, self.leaf_shade, self.second_leaf, self.meadow, self.meadow_shade = _between(
            _YEAR, conditions.season
        )
        self.snow = max(conditions.season - 0.86, 0.0) / 0.14

    def lit(self, colour: Array, amount: Array | float) -> Array:
        """A local colour in the light: amount 0 is full shade, 1 full sun.

        Shade is not darker only: it takes on the blue or violet of the sky.
        """
        sunny = colour * self.sun * 1.06
        shady = mix(colour * self.shadow * 1.1, self.shadow * 0.62, 0.3)
        return mix(shady, sunny, amount)

    def far(self, colour: Array, distance: Array | float) -> Array:
        """A colour seen through the air: distance 0 is near, 1 the farthest hills."""
        fog = self.conditions.fog
        return mix(colour, self.haze, (0.2 + 0.65 * fog) * distance + 0.1 * fog)

    def grade(self, colour: Array) -> Array:
        """The final colour grade: key and contrast, chroma, warmth of the palette."""
        weather = self.conditions
        colour = (0.80 + 0.26 * weather.key) * (0.58 + (1.34 - 0.2 * weather.key) * (colour - 0.58))
        grey = 0.3 * colour[0] + 0.55 * colour[1] + 0.15 * colour[2]
        colour = mix(grey, colour, 0.72 + 0.45 * weather.chroma)
        # Warm palettes lean towards yellow, cool ones towards blue.
        warmth = weather.warmth * np.array([[0.07], [0.025], [-0.13]])
        return colour * (1.0 + warmth)
