"""What landscapes are made of: sky, sun, hills, ground, water, boats.

Each element is one function that lays its strokes on a `Painter`, from the far to the
near, with strokes that follow the form: drifting in the sky, level on the water.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hiresvae.data.embedded._paint_light import hue, mix
from hiresvae.data.embedded._paint_painter import Painter
from hiresvae.data.embedded._paint_random import Array, bump, fractal, noise, smoothstep

Profile = Callable[[Array], Array]  # the height y of an outline at each x


def outline(painter: Painter, level: float, relief: float, scale: float) -> Profile:
    """A random outline around a level: hills, tree tops, clouds of leaves."""
    shift, row = painter.dice.uniform(0, 90), painter.dice.uniform(0, 90)
    return lambda x: level - relief * fractal(x * scale + shift, np.full_like(x, row))


def sky(painter: Painter, bottom: float, count: int = 1500) -> None:
    """A sky from the top edge down to the bottom level, with drifting clouds."""
    light, dice = painter.light, painter.dice
    weather = light.conditions
    x, y = painter.cover(count, -0.02, -0.02, 1.02, bottom + 0.03)
    fall = np.minimum(np.maximum(y / max(bottom, 0.2), 0.0), 1.0)
    colour = mix(light.zenith, light.low_sky, fall * fall * (0.55 + 0.45 * fall))
    # The sky is brighter and warmer on the side of the sun.
    glow = bump((x - weather.sun_x) * 0.9) * bump((1.0 - fall) * 0.95)
    colour = mix(colour, mix(light.sun, light.low_sky, 0.45), 0.55 * glow)
    # Clouds: lit from the sun's side, flatter and smaller towards the horizon.
    scale = dice.uniform(2.2, 4.2)
    squeeze = scale * dice.uniform(1.3, 2.6) / (1.15 - 0.6 * fall)
    shift, row = dice.uniform(0, 90), dice.uniform(0, 90)
    tilt = dice.uniform(-0.5, 0.5)
    u, v = x * scale + shift + tilt * y, y * squeeze + row + tilt * x
    mass = fractal(u, v)
    lit = 0.55 + 3.0 * (mass - fractal(u + 0.28 * (weather.sun_x - x), v - 0.3))
    lit = np.minimum(np.maximum(lit, 0.0), 1.0)
    cover = smoothstep(0.0, 0.13, mass - 0.70 + 0.42 * weather.cloudiness)
    cover *= 0.92 - 0.45 * weather.fog
    colour = mix(colour, mix(light.cloud_shade, light.cloud, lit), cover)
    colour = light.far(colour, 0.35 * weather.fog + 0.3 * weather.fog * fall)
    drift = dice.uniform(-0.3, 0.3)
    painter.dab(
        x,
        y,
        colour,
        0.034 - 0.01 * fall,
        0.012 - 0.004 * fall,
        1.0,
        drift + 1.4 * (noise(x * 3.0, y * 4.0) - 0.5) * (1.0 - 0.7 * fall),
        broken=0.035,
        loose=0.35,
        block_in=1.9,
    )


def sun(painter: Painter, y: float, radius: float) -> None:
    """A sun disc with a halo, at the height y."""
    light = painter.light
    x_sun = light.conditions.sun_x
    reach = 5.0 * radius
    x, height = painter.cover(160, x_sun - reach, y - reach, x_sun + reach, y + reach)
    dx, dy = x - x_sun, height - y
    distance = np.sqrt(dx * dx + dy * dy) / reach
    near = distance < 1.0
    x, height, dx, dy, distance = x[near], height[near], dx[near], dy[near], distance[near]
    halo = mix(painter.look(x, height), mix(light.sun, light.low_sky, 0.3), 0.55 * bump(distance))
    painter.dab(x, height, halo, 0.02, 0.006, -dy / reach, dx / reach, 0.03, loose=0.1)
    x, height = painter.cover(26, -1, -1, 1, 1)
    disc = x * x + height * height < 0.9
    x, height = x[disc], height[disc]
    painter.dab(
        x_sun + x * radius * 0.75,
        y + height * radius * 0.75,
        mix(light.sun, hue("#ffb05a"), 0.6 * light.conditions.fog) * 1.08,
        0.5 * radius,
        0.35 * radius,
        broken=0.04,
        loose=1.0,
    )


def hills(
    painter: Painter, top: Profile, base: float, distance: float, colour: Array, count: int = 350
) -> None:
    """Far land between an outline and a base line, softened by the air."""
    light = painter.light
    highest = float(np.min(top(np.linspace(0.0, 1.0, 33))))
    x, y = painter.cover(count, -0.02, highest, 1.02, base + 0.01)
    inside = y > top(x)
    x, y = x[inside], y[inside]
    patches = noise(x * 9.0, y * 26.0)
    lit = 0.25 + 0.6 * patches
    painter.dab(
        x,
        y,
        light.far(light.lit(colour, lit), distance),
        0.024,
        0.008,
        1.0,
        0.5 * (noise(x * 5.0 + 40.0, y * 5.0) - 0.5),
        broken=0.045,
        block_in=1.6,
    )


def line(
    painter: Painter,
    x_0: Array | float,
    y_0: Array | float,
    x_1: Array | float,
    y_1: Array | float,
    width: Array | float,
    colour: Array,
    pieces: int = 6,
) -> None:
    """Straight bars made of overlapping strokes: trunks, masts, window frames.

    The ends may be arrays, with one entry a bar; the colour is then (3, bars) or (3, 1).
    """
    x_0, y_0, x_1, y_1, width = np.broadcast_arrays(*np.atleast_1d(x_0, y_0, x_1, y_1, width))
    dx, dy = (x_1 - x_0) / pieces, (y_1 - y_0) / pieces
    half = np.repeat(0.6 * np.sqrt(dx * dx + dy * dy), pieces)
    bar = np.repeat(np.arange(len(dx)), pieces)
    step = np.tile(np.arange(pieces) + 0.5, len(dx))
    painter.lay(
        x_0[bar] + dx[bar] * step,
        y_0[bar] + dy[bar] * step,
        colour[:, bar] if colour.shape[1] > 1 else colour,
        half,
        width[bar],
        dx[bar] / half,
        dy[bar] / half,
        broken=0.06,
        loose=0.06,
    )


def ground(
    painter: Painter,
    top: Profile,
    bottom: float,
    colours: tuple[Array, Array],
    count: int = 1100,
    distance: float = 0.5,
    tufts: float = 0.4,
) -> None:
    """Meadow, beach or field from an outline to the bottom, larger strokes in front."""
    light = painter.light
    highest = float(np.min(top(np.linspace(0.0, 1.0, 33))))
    x, t = painter.cover(count, -0.02, 0.0, 1.02, 1.0)
    y = highest + (bottom + 0.02 - highest) * t * (0.45 + 0.55 * t)
    inside = y > top(x)
    x, y, near = x[inside], y[inside], t[inside]
    shift = painter.dice.uniform(0, 90)
    # Bands of light and shade lie flat: wide in x and narrow in y, narrower far away.
    band = fractal(x * 3.0 + shift, y * 16.0 / (0.4 + near) + shift)
    lit = smoothstep(0.1, 0.75, band)
    local = mix(colours[1], colours[0], lit)
    colour = light.far(light.lit(local, 0.3 + 0.7 * lit), distance * (1.0 - near))
    rise = tufts * near * (noise(x * 11.0 + shift, y * 11.0) * 1.6)
    painter.dab(
        x,
        y,
        colour,
        0.014 + 0.02 * near,
        0.004 + 0.006 * near,
        1.0,
        -rise,
        broken=0.05 + 0.03 * near,
        loose=0.2 + 0.5 * tufts * near,
        block_in=1.8,
    )


def water(
    painter: Painter,
    top: float,
    tint: Array,
    bottom: float = 1.0,
    count: int = 1700,
    mirror: float = 0.6,
    upright: float = 0.0,
) -> None:
    """Water that mirrors what is painted above it, in level strokes.

    Args:
        painter: the painting; everything that is to be mirrored is already there.
        top: the far edge of the water.
        tint: the water's own colour.
        bottom: the near edge.
        count: number of strokes.
        mirror: 0 only its own colour, 1 a perfect mirror at the far edge.
        upright: share of the strokes that are upright, as in a still pond.
    """
    light = painter.light
    breeze = light.conditions.breeze
    x, t = painter.cover(count, -0.02, 0.0, 1.02, 1.0)
    near = t * (0.4 + 0.6 * t)
    y = top + (bottom + 0.015 - top) * near
    shift = painter.dice.uniform(0, 90)
    ripple = fractal(x * 5.0 + shift, (y - top) * 30.0 / (0.25 + near) + shift)
    swing = (ripple - 0.5) * (0.02 + 0.10 * breeze) * (0.3 + near)
    stretch = min(0.95, 0.98 * top / max(bottom - top, 0.05))
    mirrored = painter.look(x + swing, top - 0.004 - (y - top) * stretch - np.abs(swing) * 0.6)
    own = mix(tint, light.zenith, 0.35)
    share = mirror * (1.0 - (0.25 + 0.4 * breeze) * near)
    colour = mix(light.lit(own, 0.75), mirrored * 0.94, share)
    crest = smoothstep(0.52, 0.78, ripple)
    trough = smoothstep(0.5, 0.24, ripple)
    colour = mix(colour, mix(light.low_sky, light.sun, 0.3), (0.12 + 0.3 * breeze) * crest)
    colour = mix(colour, own * light.shadow, (0.2 + 0.3 * breeze) * trough)
    colour = light.far(colour, 0.5 * (1.0 - near))
    swell = (noise(x * 8.0 + shift, y * 20.0) - 0.5) * (0.1 + 0.9 * breeze)
    painter.dab(
        x,
        y,
        colour,
        0.018 + 0.024 * near,
        0.0042 + 0.0065 * near,
        1.0,
        swell,
        broken=0.035 + 0.025 * near,
        loose=0.08 + 0.2 * breeze,
        block_in=1.9,
    )
    if upright > 0.0:
        still = painter.dice.columns(1, len(x))[0] < upright
        painter.dab(
            x[still],
            y[still],
            mix(colour, mirrored, 0.4)[:, still],
            0.024,
            0.0055,
            0.0,
            1.0,
            broken=0.03,
            loose=0.12,
        )


def glitter(
    painter: Painter,
    x_light: float,
    top: float,
    colour: Array,
    count: int = 130,
    bottom: float = 1.0,
    spread: float = 0.05,
) -> None:
    """The broken path of a light on the water below it."""
    u, t = painter.scatter(count, -1.0, 0.0, 1.0, 1.0)
    y = top + 0.012 + (bottom - top) * t * (0.3 + 0.7 * t)
    x = x_light + u * np.abs(u) * (0.35 + 1.1 * t) * spread
    keep = noise(x * 9.0, y * 60.0 / (0.4 + t)) > 0.32 + 0.3 * t
    x, y, t = x[keep], y[keep], t[keep]
    painter.lay(
        x,
        y,
        mix(painter.light.zenith, colour, 0.95 - 0.3 * t),
        0.012 + 0.02 * t,
        0.0028 + 0.005 * t,
        1.0,
        0.0,
        broken=0.05,
        loose=0.12,
    )


def boat(painter: Painter, x: float, y: float, size: float, sail: Array | None) -> None:
    """A small boat at the water line y, with a sail if a colour is given for it."""
    light = painter.light
    size = size if sail is not None else min(size, 0.075)
    hull = light.far(light.lit(hue("#4a3f52"), 0.2), max(1.0 - 6.0 * size, 0.0))
    line(painter, x - size * 0.45, y, x + size * 0.45, y - 0.01 * size, 0.075 * size, hull, 3)
    line(
        painter,
        x - size * 0.4,
        y + 0.14 * size,
        x + size * 0.4,
        y + 0.14 * size,
        0.04 * size,
        mix(hull, light.haze, 0.4),
        4,
    )
    if sail is None:
        for figure in (-0.15, 0.12):
            line(
                painter,
                x + figure * size,
                y - 0.08 * size,
                x + figure * size,
                y - 0.26 * size,
                0.05 * size,
                hull,
                1,
            )
        return
    across, rise = painter.scatter(34)
    rise *= 0.5 + 0.5 * rise
    lean = 0.1 - 0.55 * across  # from a place in the sail towards the top of the mast
    painter.lay(
        x - size * (0.12 + lean * (1.0 - rise)),
        y - size * (0.12 + 1.3 * rise),
        mix(sail, mix(sail, light.shadow, 0.5), 0.5 * across),
        0.13 * size,
        0.045 * size,
        lean,
        -1.3,
        broken=0.05,
        loose=0.08,
    )
    painter.lay(
        x - size * (0.12 + lean * (1.0 - rise)),
        y + size * (0.25 + 0.8 * rise),
        mix(sail, light.haze, 0.5),
        0.12 * size,
        0.03 * size,
        broken=0.04,
        loose=0.1,
    )


def pond(painter: Painter, line: float, top: float, tint: Array, count: int = 2200) -> None:
    """Still water that fills the picture and mirrors what was painted above a line.

    Unlike `water` it covers what it mirrors: the mirror image of the band from the line
    up to the picture's upper edge is stretched over all of the water.
    """
    light = painter.light
    breeze = light.conditions.breeze
    x, t = painter.cover(count, -0.02, 0.0, 1.02, 1.0)
    near = t * (0.6 + 0.4 * t)
    y = top + (1.015 - top) * near
    shift = painter.dice.uniform(0, 90)
    ripple = fractal(x * 4.0 + shift, y * 24.0 / (0.5 + near) + shift)
    swing = (ripple - 0.5) * (0.02 + 0.06 * breeze)
    mirrored = painter.look(x + swing, line - 0.01 - (line - 0.01) * near)
    own = mix(tint, light.zenith, 0.3)
    colour = mix(light.lit(own, 0.6), mirrored, 0.68 - 0.2 * breeze)
    colour = mix(colour, light.low_sky, 0.3 * smoothstep(0.6, 0.82, ripple))
    colour = light.far(colour, 0.35 * (1.0 - near))
    level = fractal(x * 6.0 + shift, y * 9.0) + 0.5 * painter.dice.columns(1, len(x))[0] > 0.62
    still = ~level
    painter.dab(
        x[still], y[still], colour[:, still], 0.03, 0.0085, 0.0, 1.0, 0.035, loose=0.2, block_in=1.7
    )
    painter.dab(
        x[level],
        y[level],
        colour[:, level],
        0.02 + 0.02 * near[level],
        0.004 + 0.004 * near[level],
        1.0,
        0.0,
        0.04,
        loose=0.14,
        block_in=1.7,
    )
