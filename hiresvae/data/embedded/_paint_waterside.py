"""Things in and by the water: surf, reeds, lilies, willows, cliffs, a footbridge."""

from __future__ import annotations

import numpy as np

from hiresvae.data.embedded import _paint_elements as paint
from hiresvae.data.embedded._paint_light import hue, mix
from hiresvae.data.embedded._paint_painter import Painter
from hiresvae.data.embedded._paint_random import Array, fractal, noise, smoothstep

_BLOSSOMS = ("#f6e9ee", "#ef9fb8", "#f3d35a", "#d8577a", "#c9a3e0", "#f4f0dc")


def surf(painter: Painter, top: float) -> None:
    """White crests on a rough sea."""
    light = painter.light
    breeze = light.conditions.breeze
    if breeze < 0.45:
        return
    x, t = painter.cover(800)
    y = top + (1.0 - top) * t * (0.4 + 0.6 * t)
    shift = painter.dice.uniform(0, 90)
    crest = fractal(x * 4.0 + shift, (y - top) * 26.0 / (0.25 + t)) > 0.86 - 0.26 * breeze
    x, y, t = x[crest], y[crest], t[crest]
    foam = mix(
        mix(light.zenith, light.haze, 0.5),
        light.lit(hue("#f4f6f4"), 0.95),
        0.45 + 0.45 * noise(x * 30.0, y * 40.0),
    )
    painter.dab(
        x,
        y,
        foam,
        0.008 + 0.016 * t,
        0.0026 + 0.0036 * t,
        1.0,
        0.5 * (noise(x * 9.0, y * 9.0) - 0.5),
        broken=0.05,
    )


def reeds(painter: Painter, level: float) -> None:
    """Grass and reeds along the lower edge."""
    light = painter.light
    edge = paint.outline(painter, level + 0.05, 0.14, 4.0)
    x, y = painter.cover(420, -0.02, level - 0.1, 1.02, 1.04)
    inside = y > edge(x)
    x, y = x[inside], y[inside]
    lit = noise(x * 13.0, y * 7.0)
    colour = light.lit(
        mix(light.leaf_shade, mix(light.leaf, light.meadow, 0.5), lit), 0.2 + 0.8 * lit
    )
    painter.dab(x, y, colour, 0.032, 0.0042, 0.7 * (noise(x * 6.0, y * 3.0) - 0.5), 1.0, 0.08)


def pads(painter: Painter, top: float, islands: int, near_size: float) -> None:
    """Islands of water-lily pads with blossoms, flattened by perspective."""
    light, dice = painter.light, painter.dice
    place, middle, breadth, shift = dice.columns(4, islands)
    place = (np.arange(islands) + place) / islands
    near = place * (0.55 + 0.45 * place)
    size = near_size * (0.3 + 0.7 * place)
    u, v = painter.scatter(60 * islands, -1.0, -1.0, 1.0, 1.0)
    u, v = u + 0.3 * dice.columns(1, len(u))[0], v + 0.3 * dice.columns(1, len(u))[0]
    island = np.arange(len(u)) * islands // len(u)
    inside = u * u + v * v < 0.3 + 0.8 * noise(u * 1.5 + 90.0 * shift[island], v * 1.5)
    u, v, island = u[inside], v[inside], island[inside]
    y = top + (1.0 - top) * (0.06 + 0.92 * near[island]) + v * size[island] * 0.42
    order = np.argsort(y, kind="stable")  # the nearer pads overlap the farther ones
    u, v, y, island = u[order], v[order], y[order], island[order]
    scale = size[island]
    x = middle[island] + u * scale * (1.0 + 1.6 * breadth[island])
    painter.lay(
        x + 0.01 * scale,
        y + 0.045 * scale,
        light.leaf_shade * light.shadow * 0.9,
        0.19 * scale,
        0.058 * scale,
        broken=0.04,
        loose=0.1,
    )
    green = mix(hue("#7fa65c"), light.leaf, 0.3)
    lit = noise(u * 3.0 + 90.0 * shift[island], v * 3.0 + 9.0)
    pad = light.lit(
        mix(mix(green, light.shadow, 0.35), mix(green, hue("#eaf0c8"), 0.6), lit), 0.45 + 0.55 * lit
    )
    painter.lay(x, y, pad, 0.18 * scale, 0.058 * scale, broken=0.07, loose=0.15)
    painter.lay(
        x,
        y - 0.02 * scale,
        mix(pad, light.low_sky, 0.45),
        0.12 * scale,
        0.018 * scale,
        broken=0.05,
        loose=0.15,
    )
    bloom = dice.columns(1, len(x))[0] < 0.2
    x, y, scale = x[bloom], y[bloom] - 0.07 * scale[bloom], scale[bloom]
    petal = light.lit(hue(dice.pick(_BLOSSOMS)), 0.95)
    painter.lay(x, y, petal * 0.88, 0.085 * scale, 0.06 * scale, broken=0.05, loose=0.8)
    painter.lay(
        x,
        y - 0.035 * scale,
        mix(petal, hue("#fffaf0"), 0.6),
        0.055 * scale,
        0.034 * scale,
        broken=0.04,
        loose=0.8,
    )


def willow(painter: Painter, left: float, right: float, length: float) -> None:
    """Hanging branches of a weeping willow along the upper edge."""
    light, dice = painter.light, painter.dice
    strands, beads = int(70 * (right - left)) + 8, 13
    root, reach, sway, glow = dice.columns(4, strands)[:, :, None]
    down = ((np.arange(beads) + 0.5) / beads)[None, :]
    reach = length * (0.25 + 0.75 * reach * (0.4 + 0.6 * np.abs(2.0 * root - 1.0)))
    x = (left + (right - left) * root + 0.05 * (sway - 0.5) * down * down).reshape(-1)
    y = (reach * down - 0.02).reshape(-1)
    lit = (np.minimum(np.maximum(0.2 + 0.7 * glow + 0.3 * (0.5 - down), 0.0), 1.0)).reshape(-1)
    colour = light.lit(mix(light.leaf_shade, light.leaf, lit), 0.1 + 0.8 * lit)
    painter.lay(
        x,
        y,
        colour,
        0.55 * np.repeat(reach[:, 0], beads) / beads + 0.004,
        0.0042,
        np.repeat(0.1 * (sway[:, 0] - 0.5), beads),
        1.0,
        broken=0.07,
        loose=0.22,
    )


def cliff(
    painter: Painter,
    side: float,
    reach: float,
    high: float,
    foot: float,
    horizon: float,
    chalk: Array,
    distance: float,
    arch: bool = False,
) -> None:
    """A headland from one edge: a steep face of rock under a cap of grass."""
    light, dice = painter.light, painter.dice
    rough = paint.outline(painter, 0.0, 0.10, 6.0)
    dip = dice.uniform(0.0, 0.25)
    shift = dice.uniform(0, 90)
    # inland: 0 at the picture's edge, 1 at the cape.
    inland, y = painter.cover(1350, -0.03, high - 0.12, 1.1, foot + 0.01)
    x = 0.5 + side * (0.5 - inland * reach)
    # The foot of the rock recedes towards the horizon.
    recede = 0.75 * (foot - horizon)
    shore = foot - recede * inland
    top = high - rough(x) * 0.7 - 0.06 + dip * (foot - high) * smoothstep(0.0, 1.0, inland)
    cape = 1.0 - 0.22 * (foot - y) / (foot - high)
    cape = cape + 0.16 * (noise(y * 14.0 + shift, 0.0 * y) - 0.5)
    inside = (y > top) & (inland < cape) & (y < shore)
    if arch:
        hole_x, hole_y = (inland - 0.82) / 0.08, (y - shore) / (0.5 * (foot - high))
        inside &= hole_x * hole_x + hole_y * hole_y > 1.0
    x, y, top, shore = x[inside], y[inside], top[inside], shore[inside]
    bed = noise(x * 4.0 + shift, y * 34.0)  # level beds in the rock
    plane = fractal(x * 11.0 + 0.5 * side * y + shift, y * 6.0)  # faces turned this way or that
    toward_sun = 0.2 if (light.conditions.sun_x - 0.5) * side < 0 else -0.12
    lit = 0.5 + toward_sun + 2.6 * (plane - 0.5) + 0.5 * (bed - 0.5)
    lit = np.minimum(np.maximum(lit, 0.0), 1.0)
    rock = mix(mix(chalk, light.shadow, 0.5) * 0.85, chalk, lit)
    grass = smoothstep(0.075, 0.03, y - top - 0.09 * (plane - 0.4)) * (1.0 - 0.4 * light.snow)
    rock = mix(rock, mix(light.meadow_shade, light.meadow, lit), 0.9 * grass)
    wet = smoothstep(0.05, 0.0, shore - y)
    rock = mix(rock, hue("#55587a"), 0.55 * wet)
    lean = 1.6 * (noise(x * 9.0 + shift, y * 9.0) - 0.5)
    painter.dab(
        x,
        y,
        light.far(light.lit(rock, 0.1 + 0.9 * lit), distance),
        0.016 - 0.004 * distance,
        0.0075,
        lean + 0.9 * grass,
        0.75 - 0.6 * grass - 0.55 * (bed > 0.62),
        broken=0.06,
        loose=0.4,
        block_in=1.9,
    )
    # Foam and broken water along the foot.
    inland, v = painter.cover(130)
    x, y = 0.5 + side * (0.5 - 1.04 * inland * reach), foot - recede * inland + 0.003 + 0.02 * v * v
    foam = mix(light.lit(hue("#e6ecec"), 0.8), light.zenith, 0.3 + 0.7 * noise(x * 25.0, y))
    painter.dab(x, y, foam, 0.014, 0.0034, 1.0, 0.0, broken=0.06, loose=0.15)


def needle(painter: Painter, x_middle: float, high: float, foot: float, chalk: Array) -> None:
    """A pointed rock that stands alone in the sea."""
    light = painter.light
    u, v = painter.scatter(170, -1.0, 0.0, 1.0, 1.0)
    inside = np.abs(u) < 1.0 - v * 0.85 + 0.25 * (noise(v * 9.0, u) - 0.5)
    u, v = u[inside], v[inside]
    lit = np.minimum(
        np.maximum(
            0.5
            + 0.6 * u * (1 if light.conditions.sun_x > x_middle else -1)
            + noise(u * 4.0, v * 9.0)
            - 0.5,
            0.0,
        ),
        1.0,
    )
    rock = mix(mix(chalk, light.shadow, 0.5), chalk, lit)
    painter.lay(
        x_middle + 0.05 * u,
        foot - v * 0.72 * (foot - high),
        light.far(light.lit(rock, 0.15 + 0.85 * lit), 0.3),
        0.017,
        0.006,
        0.15,
        1.0,
        0.06,
    )


def footbridge(painter: Painter, level: float, rise: float, tilt: float, colour: Array) -> None:
    """An arched deck with two curved railings and their posts."""
    light = painter.light

    def arch(x: Array) -> tuple[Array, Array]:
        """The height of the deck at x, and its slope there."""
        middle = x - 0.5
        return level + middle * (4.0 * rise * middle + tilt), 8.0 * rise * middle + tilt

    x, depth = painter.scatter(330, -0.04, 0.0, 1.04, 1.0)
    height, slope = arch(x)
    shade = mix(light.lit(colour * 0.8, 0.15), colour, 0.25 * (1.0 - depth))
    y = height + 0.004 + 0.034 * depth
    painter.lay(x, y, shade, 0.024, 0.006, 1.0, slope, broken=0.05, loose=0.06)
    posts: Array = (np.arange(13.0) + 0.5) / 13.0
    places: Array = (np.arange(44.0) + 0.5) / 44.0 * 1.08 - 0.04
    x = np.concatenate([places, places, places])
    up = np.repeat(np.array([0.092, 0.05, 0.0]), len(places))
    height, slope = arch(x)
    for back in (1.0, 0.0):
        rail = light.lit(mix(colour, light.haze, 0.25 * back), 0.9 - 0.45 * back)
        painter.lay(
            posts + 0.02 * back,
            arch(posts)[0] - 0.045,
            rail * 0.9,
            0.05,
            0.0042,
            0.0,
            1.0,
            broken=0.05,
            loose=0.05,
        )
        painter.lay(
            x, height - up - 0.012 * back, rail, 0.02, 0.005, 1.0, slope, broken=0.06, loose=0.05
        )
