"""Things on dry land: haystacks, poplars, houses, paths, flowers, the skyline of a city."""

from __future__ import annotations

import numpy as np

from hiresvae.data.embedded import _paint_elements as paint
from hiresvae.data.embedded import _paint_trees as trees
from hiresvae.data.embedded._paint_light import hue, mix
from hiresvae.data.embedded._paint_painter import Painter
from hiresvae.data.embedded._paint_random import Array, bump, fractal, noise, smoothstep

_FLOWERS = ("#e8463a", "#f08aa8", "#f6e6ec", "#8f6fd0", "#f2c531", "#d9509a", "#5f7fe0")


def leaves(painter: Painter, change: float = 0.35) -> tuple[Array, Array]:
    """Leaf colours in light and shade, a little different for every tree."""
    light, dice = painter.light, painter.dice
    return (
        mix(light.leaf, light.second_leaf, dice.uniform(0.0, 2.0 * change)),
        mix(light.leaf_shade, light.shadow, dice.uniform(0.0, change)),
    )


def haystack(painter: Painter, x_middle: float, base: float, size: float) -> None:
    """One stack with its long cast shadow: a low wall of hay under a thatched cone."""
    light, dice = painter.light, painter.dice
    weather = light.conditions
    side = 1.0 if weather.sun_x < x_middle else -1.0
    cast = size * (0.7 + 4.5 * abs(weather.time_of_day - 0.5))
    u, v = painter.cover(260)
    painter.dab(
        x_middle + side * (u - 0.1) * cast,
        base + size * (0.05 + 0.1 * u + 0.2 * (v - 0.5) * (1.0 - 0.55 * u)),
        mix(light.shadow * 0.72, light.meadow_shade * light.shadow, 0.4),
        0.03,
        0.008,
        side,
        0.1,
        broken=0.07,
        block_in=1.6,
    )
    u, v = painter.cover(900, -1.0, -0.1, 1.0, 1.08)
    wall = 0.42
    half = np.where(v < wall, 0.80 + 0.36 * v, 0.99 - 0.93 * (v - wall) / (1.05 - wall))
    inside = np.abs(u) < half
    u, v, half = u[inside], v[inside], half[inside]
    turn = u / np.maximum(half, 0.1)
    shift = dice.uniform(0, 90)
    lit = 0.55 - 0.6 * turn * side + 0.35 * (fractal(u * 4.0 + shift, v * 7.0) - 0.5)
    lit = np.minimum(np.maximum(lit - 0.3 * bump((v - wall) * 9.0) * (v < wall + 0.03), 0.0), 1.0)
    straw = mix(hue("#8a5a52"), hue("#e9b458"), lit)
    colour = light.lit(straw, 0.1 + 0.9 * lit)
    snow = light.snow * smoothstep(wall + 0.05, wall + 0.35, v + 0.3 * (lit - 0.5))
    colour = mix(colour, light.lit(hue("#f6f4f4"), lit), 0.85 * snow)
    roof = v > wall
    painter.dab(
        x_middle + u * size * 0.55,
        base - v * size * 0.72,
        colour,
        0.1 * size,
        0.027 * size,
        np.where(roof, 0.75 * turn, 0.3 * turn),
        1.0,
        broken=0.07,
        loose=0.35,
    )
    rim = (u * side < -0.2) & (np.abs(turn) > 0.8)
    glow = light.lit(mix(hue("#f3cf86"), hue("#f6f4f4"), 0.8 * light.snow), 1.0)
    painter.dab(
        x_middle + u[rim] * size * 0.54,
        base - v[rim] * size * 0.72,
        glow,
        0.05 * size,
        0.009 * size,
        np.where(roof[rim], 0.75 * turn[rim], 0.1),
        1.0,
        0.07,
    )


def avenue(painter: Painter, shore: float, count: int) -> None:
    """Poplars in a row that comes nearer from one side to the other."""
    light, dice = painter.light, painter.dice
    scatter, tall, wide, lean = dice.columns(4, count)
    along = (np.arange(count) + 0.25 + 0.5 * scatter) / count
    scale = 1.0 - dice.uniform(0.0, 0.75) * (1.0 - along)
    reach = along + dice.uniform(-0.25, 0.25) * along * (1.0 - along) - 0.5
    x = 0.5 + 1.1 * reach * dice.pick((-1.0, 1.0))
    height = (shore + dice.uniform(-0.1, 0.15)) * scale * (0.88 + 0.2 * tall)
    half = (0.02 + 0.045 * scale) * (0.7 + 0.55 * wide) * min(1.0, 7.0 / count + 0.2)
    distance = 0.75 * (1.0 - scale)
    first, second = leaves(painter), leaves(painter)
    paint.line(
        painter,
        x,
        shore,
        x + 0.02 * (lean - 0.5),
        shore - 0.7 * height,
        0.002 + 0.004 * scale,
        light.far(light.lit(hue("#6f5f78"), 0.3), distance),
    )
    trees.crowns(
        painter,
        trees.Crowns(
            x,
            shore - 0.57 * height,
            half,
            0.45 * height,
            distance,
            mix(first[0], second[0], tall),
            mix(first[1], second[1], wide),
        ),
        min(2800 // count, 420),
        upright=0.45,
    )


def garden_trees(painter: Painter, foot: float, count: int) -> None:
    """Round trees of different heights that stand on one level."""
    dice = painter.dice
    x, tall, wide, tone = dice.columns(4, count)
    x, tall = 1.1 * x - 0.05, 0.16 + 0.26 * tall
    (leaf, shade), (other, _) = leaves(painter), leaves(painter)
    trunk = painter.light.lit(hue("#5f4a55"), 0.2)
    paint.line(painter, x, foot, x, foot - 0.6 * tall, 0.006, trunk, 4)
    row = trees.Crowns(
        x,
        y=foot - 0.65 * tall,
        half_width=tall * (0.25 + 0.3 * wide),
        half_height=0.5 * tall,
        distance=np.full(count, 0.3),
        leaf=mix(leaf, other, tone),
        shade=np.repeat(shade, count, axis=1),
    )
    trees.crowns(painter, row, 480)


def house(painter: Painter, x_middle: float, base: float, size: float) -> None:
    """A house with a pitched roof, windows and shutters."""
    light, dice = painter.light, painter.dice
    wall = hue(dice.pick(("#f0dccb", "#e9b9a4", "#f4efe2", "#d8c3a0")))
    roof = hue(dice.pick(("#7f7f9c", "#b5644a", "#8a5f5a", "#6f86a0")))
    shutter = hue(dice.pick(("#5f9a7f", "#5f7fae", "#8a6a5a")))
    sunny = 0.9 if abs(light.conditions.sun_x - x_middle) < 0.5 else 0.5
    x, y = painter.scatter(300, -1.0, 0.0, 1.0, 0.62)
    # The house is seen over a corner: one of its two walls lies in the shade.
    corner = dice.uniform(0.25, 0.5) * dice.pick((-1.0, 1.0))
    turned = np.where((x - corner) * corner > 0.0, 0.15, sunny)
    painter.lay(
        x_middle + x * size * 0.6,
        base - y * size,
        light.far(light.lit(wall, turned), 0.25),
        0.07 * size,
        0.035 * size,
        0.3,
        1.0,
        0.04,
    )
    x, y = painter.scatter(300, -1.15, 0.55, 1.15, 1.0)
    inside = np.abs(x) < 1.15 - (y - 0.55) * 1.1
    x, y = x[inside], y[inside]
    painter.lay(
        x_middle + x * size * 0.6,
        base - y * size,
        light.far(light.lit(roof, sunny), 0.3),
        0.07 * size,
        0.028 * size,
        1.0,
        0.0,
        0.06,
    )
    chimney = x_middle - 0.4 * corner * size
    paint.line(
        painter,
        chimney,
        base - 0.9 * size,
        chimney,
        base - 1.12 * size,
        0.035 * size,
        light.far(light.lit(roof, 0.3), 0.2),
        2,
    )
    at = x_middle + (np.array([-0.3, 0.0, 0.3]) - 0.3 * corner) * size
    paint.line(
        painter,
        at,
        base - 0.45 * size,
        at,
        base - 0.3 * size,
        0.026 * size,
        light.lit(hue("#4f5478"), 0.5),
        2,
    )
    for wing in (-0.062, 0.062):
        paint.line(
            painter,
            at + wing * size,
            base - 0.45 * size,
            at + wing * size,
            base - 0.3 * size,
            0.016 * size,
            light.lit(shutter, sunny),
            2,
        )


def path(painter: Painter, goal: float, top: float) -> None:
    """A garden path that widens towards the viewer, dappled with shade."""
    light = painter.light
    u, t = painter.cover(520, -1.0, 0.0, 1.0, 1.0)
    near = t * (0.45 + 0.55 * t)
    y = top + (1.02 - top) * near
    x = goal + (0.5 - goal) * near * 0.7 + u * (0.02 + 0.2 * near)
    lit = smoothstep(0.3, 0.6, fractal(x * 5.0, y * 14.0))
    colour = light.lit(mix(hue("#a58a94"), hue("#efd2ae"), lit), 0.15 + 0.85 * lit)
    painter.dab(x, y, colour, 0.012 + 0.02 * near, 0.004 + 0.006 * near, broken=0.06)


def flowers(painter: Painter, top: float, path: float | None) -> None:
    """Flower beds: leaves first, then blossoms in drifts of two or three colours."""
    light, dice = painter.light, painter.dice
    x, t = painter.cover(1500, -0.02, 0.0, 1.02, 1.0)
    near = t * (0.4 + 0.6 * t)
    y = top + (1.03 - top) * near
    shift = dice.uniform(0, 90)
    drift = fractal(x * 4.0 + shift, y * 9.0 / (0.5 + near))
    y = y - 0.035 * noise(x * 12.0, shift + 0.0 * x)  # no straight edge at the back
    bed = drift > dice.uniform(0.36, 0.52)
    if path is not None:
        middle = path + (0.5 - path) * near * 0.7
        bed = np.abs(x - middle) > 0.03 + 0.2 * near + 0.05 * (drift - 0.5)
    x, y, near, drift = x[bed], y[bed], near[bed], drift[bed]
    if path is not None:
        trees.foliage(
            painter,
            x,
            y,
            0.4 + 0.0 * x,
            (mix(light.leaf, light.meadow, 0.4), light.leaf_shade),
            0.016,
            0.1,
        )
    colours = [
        light.lit(mix(hue(dice.pick(_FLOWERS)), light.haze, 0.35 * light.snow), 0.95)
        for _ in range(3)
    ]
    kind = noise(x * 5.0 + shift, y * 12.0)
    chosen = np.where(kind < 0.42, colours[0], np.where(kind < 0.6, colours[1], colours[2]))
    bloom = dice.columns(1, len(x))[0] < (0.75 - 0.45 * light.snow) * smoothstep(0.3, 0.6, drift)
    x, y, near = x[bloom], y[bloom] - 0.01 - 0.02 * near[bloom], near[bloom]
    painter.dab(
        x, y, chosen[:, bloom], 0.004 + 0.011 * near, 0.003 + 0.007 * near, broken=0.09, loose=1.0
    )


def skyline(painter: Painter, base: float, height: float, stone: Array, distance: float) -> None:
    """Halls, towers and spires as one silhouette that dissolves downwards in the mist."""
    light, dice = painter.light, painter.dice
    x, rise = painter.cover(2100, -0.02, 0.0, 1.02, 1.0)
    y = base + 0.005 - height * 1.02 * rise * (0.45 + 0.55 * rise)  # most strokes lie low
    shift = dice.uniform(0, 90)
    storeys = np.floor(4.0 * noise(np.floor(x * 11.0) * 0.37 + shift, 0.0 * x)) / 4.0
    top = base - height * (0.14 + 0.2 * storeys)
    hall = dice.uniform(0.1, 0.9), dice.uniform(0.1, 0.22), dice.uniform(0.36, 0.5), 0.0
    towers = [
        (
            hall[0] + dice.uniform(-0.4, 0.4),
            dice.uniform(0.016, 0.06),
            dice.uniform(0.5, 0.8),
            dice.pick((0.0, 0.5, 3.0, 7.0)),
        )
        for _ in range(dice.integer(2, 6))
    ]
    for middle, half, storey, spire in (hall, *towers):
        tall = storey * height
        aside = np.abs(x - middle)
        # Above a square tower the roof narrows to a spire, or pinnacles stand at its corners.
        reach = tall + spire * (half - aside) + 0.05 * height * (aside > 0.75 * half)
        top = np.where(aside < half, np.minimum(top, base - np.minimum(reach, height)), top)
    inside = y > top
    x, y = x[inside], y[inside]
    mist = smoothstep(0.6, 0.0, (base - y) / height)
    colour = mix(
        stone, mix(light.low_sky, light.shadow, 0.4), 0.3 * noise(x * 14.0 + shift, y * 5.0)
    )
    colour = light.far(colour, distance + (1.0 - distance) * 0.5 * mist)
    # Upright strokes in the towers, level ones in the low roofs.
    low = (top[inside] > base - 0.3 * height).astype(np.float64)
    painter.dab(
        x,
        y,
        colour,
        0.0135,
        0.006,
        0.9 * low,
        1.0 - 0.8 * low,
        broken=0.045,
        loose=0.2,
        block_in=1.5,
    )
