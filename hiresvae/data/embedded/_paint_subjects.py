"""The subjects: each is one short function that composes the shared elements and waterside."""

from __future__ import annotations

from hiresvae.data.embedded import _paint_elements as paint
from hiresvae.data.embedded import _paint_inland as inland
from hiresvae.data.embedded import _paint_trees as trees
from hiresvae.data.embedded import _paint_waterside as waterside
from hiresvae.data.embedded._paint_light import hue, mix
from hiresvae.data.embedded._paint_painter import Painter
from hiresvae.data.embedded._paint_random import Array

_SEA_TINTS = ("#2f7f86", "#3c6f9c", "#5b8f8a", "#4a86b0", "#6f8fa6", "#3f8f95")
_POND_TINTS = ("#3d6f5c", "#4a6f8f", "#5a5f94", "#4f7f6f", "#6a6f9c")


def _low_sun(painter: Painter, horizon: float) -> float | None:
    """Paints the sun if it stands low; returns its height then."""
    weather = painter.light.conditions
    high = min(abs(weather.time_of_day - 0.02), abs(weather.time_of_day - 0.9))
    if high > 0.12 or weather.cloudiness > 0.75:
        return None
    y = horizon * painter.dice.uniform(0.3, 0.85)
    paint.sun(painter, y, painter.dice.uniform(0.018, 0.034))
    return y


def _sail(painter: Painter) -> Array | None:
    light, dice = painter.light, painter.dice
    if dice.chance(0.2):
        return None
    return light.lit(hue(dice.pick(("#f6efe2", "#f3e3c0", "#c9724a", "#8a5a52", "#ffffff"))), 0.9)


def sea(painter: Painter) -> None:
    """The open sea with sailing boats, at times a far coast, at times a low sun."""
    light, dice = painter.light, painter.dice
    horizon = light.conditions.horizon
    paint.sky(painter, horizon)
    sun_y = _low_sun(painter, horizon)
    if dice.chance(0.6):
        coast = paint.outline(painter, horizon - 0.005, dice.uniform(0.04, 0.13), 2.5)
        slant = dice.uniform(-0.12, 0.12)
        paint.hills(
            painter,
            lambda x: coast(x) + slant * (x - 0.5) + 0.02,
            horizon,
            dice.uniform(0.6, 1.0),
            mix(hue("#6a83a8"), light.meadow, 0.3),
        )
    paint.water(painter, horizon, hue(dice.pick(_SEA_TINTS)), mirror=0.55)
    if sun_y is not None:
        paint.glitter(painter, light.conditions.sun_x, horizon, mix(light.sun, hue("#fff0c0"), 0.2))
    waterside.surf(painter, horizon)
    for _ in range(dice.integer(0, 4)):
        near = dice.uniform() * dice.uniform()
        paint.boat(
            painter,
            dice.uniform(0.08, 0.92),
            horizon + 0.012 + 0.35 * near * (1 - horizon),
            0.05 + 0.17 * near,
            _sail(painter),
        )


def haystacks(painter: Painter) -> None:
    """Stacks of hay in a field, before a line of trees and hills."""
    light, dice = painter.light, painter.dice
    horizon = light.conditions.horizon
    paint.sky(painter, horizon, 1100)
    _low_sun(painter, horizon * 0.9)
    hill = paint.outline(painter, horizon, dice.uniform(0.05, 0.16), dice.uniform(1.0, 2.5))
    paint.hills(painter, hill, horizon + 0.02, 0.95, mix(hue("#6f86b4"), light.meadow, 0.25))
    grove = paint.outline(painter, horizon + 0.01, dice.uniform(0.05, 0.14), dice.uniform(4, 8))
    trees.thicket(painter, grove, horizon + 0.025, 0.6, inland.leaves(painter), 650, 0.009)
    paint.ground(
        painter,
        lambda x: 0.0 * x + horizon + 0.015,
        1.0,
        (
            mix(light.meadow, hue("#e8c070"), dice.uniform(0, 0.6) * (1.0 - light.snow)),
            light.meadow_shade,
        ),
        1500,
    )
    first = dice.uniform(0.25, 0.75)
    big = dice.uniform(0.3, 0.5)
    base = horizon + (1.0 - horizon) * dice.uniform(0.3, 0.6)
    stacks = [(first, base, big)]
    for _ in range(dice.integer(0, 2)):
        small = big * dice.uniform(0.3, 0.6)
        stacks.append(
            (
                (first + dice.uniform(0.3, 0.7)) % 1.0,
                horizon + (base - horizon) * dice.uniform(0.25, 0.7),
                small,
            )
        )
    for x, y, size in sorted(stacks, key=lambda stack: stack[1]):
        inland.haystack(painter, x, y, size)


def poplars(painter: Painter) -> None:
    """A row of tall poplars along a river, winding away, mirrored in the water."""
    light, dice = painter.light, painter.dice
    shore = light.conditions.horizon
    paint.sky(painter, shore, 1400)
    far = paint.outline(painter, shore, dice.uniform(0.08, 0.2), dice.uniform(3, 6))
    trees.thicket(painter, far, shore + 0.01, 0.75, inland.leaves(painter), 500, 0.01)
    inland.avenue(painter, shore, dice.integer(4, 11))
    bank = paint.outline(painter, shore - 0.003, dice.uniform(0.02, 0.05), 7.0)
    trees.thicket(
        painter,
        bank,
        shore + 0.022,
        0.15,
        (mix(light.meadow, light.leaf, 0.3), light.meadow_shade),
        420,
        0.009,
    )
    paint.water(painter, shore + 0.02, hue(dice.pick(_POND_TINTS)), mirror=0.85, upright=0.2)
    if dice.chance(0.5):
        waterside.reeds(painter, dice.uniform(0.86, 0.95))


def lilies(painter: Painter) -> None:
    """A pond seen from above, with the sky and trees mirrored between the lily pads."""
    light, dice = painter.light, painter.dice
    shore = light.conditions.horizon
    # What the pond mirrors is painted first, above the water, and mostly covered later.
    paint.sky(painter, 0.5, 700)
    grove = paint.outline(painter, 0.5, dice.uniform(0.2, 0.75), dice.uniform(2.0, 4.0))
    trees.thicket(painter, grove, 0.5, 0.1, inland.leaves(painter), 800, 0.02)
    tint = hue(dice.pick(_POND_TINTS))
    paint.pond(painter, 0.5, shore, tint)
    if shore > 0.04:
        bank = paint.outline(painter, -0.05, 0.0, 1.0)
        trees.thicket(
            painter, bank, shore, 0.35, inland.leaves(painter), int(3600 * shore) + 300, 0.014
        )
    waterside.pads(painter, shore, dice.integer(4, 9), dice.uniform(0.14, 0.30))
    if dice.chance(0.45):
        left = dice.pick((-0.02, 0.55, 0.75, 0.2))
        waterside.willow(painter, left, left + dice.uniform(0.25, 0.6), dice.uniform(0.25, 0.7))


def cliffs(painter: Painter) -> None:
    """Chalk cliffs above the sea, at times with an arch and a needle of rock."""
    light, dice = painter.light, painter.dice
    horizon = light.conditions.horizon
    paint.sky(painter, horizon, 1200)
    sun_y = _low_sun(painter, horizon)
    side = 1.0 if dice.chance(0.5) else -1.0  # 1: the cliff stands on the right
    chalk = hue(dice.pick(("#efe2cf", "#e6cfae", "#d9a98a", "#cfc6c4", "#b98a74")))
    foot = horizon + dice.uniform(0.03, 0.16)
    if dice.chance(0.6):
        waterside.cliff(
            painter,
            side,
            dice.uniform(0.4, 0.7),
            horizon * dice.uniform(0.62, 0.85),
            horizon + 0.012,
            horizon,
            chalk,
            0.75,
        )
    high = horizon * dice.uniform(0.1, 0.5)
    reach = dice.uniform(0.3, 0.62)
    paint.water(painter, horizon, hue(dice.pick(_SEA_TINTS)), mirror=0.6, count=1900)
    if sun_y is not None:
        paint.glitter(painter, light.conditions.sun_x, horizon, light.sun)
    waterside.surf(painter, horizon)
    waterside.cliff(painter, side, reach, high, foot, horizon, chalk, 0.12, arch=dice.chance(0.35))
    if dice.chance(0.4):
        waterside.needle(painter, 0.5 - side * (reach - 0.5) - side * 0.14, high, foot, chalk)
    if dice.chance(0.4):
        beach = paint.outline(painter, 0.98, dice.uniform(0.1, 0.3), 1.3)
        slope = -side * dice.uniform(0.0, 0.3)
        paint.ground(
            painter,
            lambda x: beach(x) + slope * (x - 0.5),
            1.0,
            (hue("#e9d6b4"), hue("#a593a6")),
            700,
            0.1,
            0.0,
        )
    for _ in range(dice.integer(0, 3)):
        near = dice.uniform() * dice.uniform()
        x = 0.5 - side * dice.uniform(0.05, 0.45)
        paint.boat(painter, x, horizon + 0.012 + 0.2 * near, 0.04 + 0.1 * near, _sail(painter))


def bridge(painter: Painter) -> None:
    """A curved footbridge over a lily pond, deep in a garden."""
    light, dice = painter.light, painter.dice
    shore = light.conditions.horizon
    paint.sky(painter, shore, 500)
    for distance in (0.7, 0.4, 0.2):
        back = paint.outline(
            painter,
            shore - 0.10 * distance,
            dice.uniform(0.35, 0.95) * shore,
            dice.uniform(2.5, 5.0),
        )
        trees.thicket(painter, back, shore + 0.01, distance, inland.leaves(painter), 720, 0.014)
    bank = paint.outline(painter, shore, 0.07, 6.0)
    trees.thicket(painter, bank, shore + 0.03, 0.1, (light.meadow, light.meadow_shade), 350, 0.012)
    level = shore * dice.uniform(0.72, 0.98)
    rise = dice.uniform(0.05, 0.14)
    colour = hue(dice.pick(("#6f9f9c", "#5f8fa8", "#7fa88a", "#8a86b0", "#b5544a", "#c9c3b4")))
    tilt = dice.uniform(-0.05, 0.05)
    waterside.footbridge(painter, level, rise, tilt, colour)
    paint.water(painter, shore + 0.025, hue(dice.pick(_POND_TINTS)), mirror=0.8, upright=0.3)
    waterside.pads(painter, shore + 0.03, dice.integer(4, 9), dice.uniform(0.10, 0.16))
    if dice.chance(0.6):
        left = dice.pick((-0.02, 0.6, 0.75))
        waterside.willow(painter, left, left + dice.uniform(0.2, 0.45), dice.uniform(0.3, 0.75))
    if dice.chance(0.35):
        waterside.reeds(painter, 0.92)


def garden(painter: Painter) -> None:
    """A path between beds of flowers towards a house, or a field of poppies."""
    light, dice = painter.light, painter.dice
    horizon = light.conditions.horizon
    paint.sky(painter, horizon, 900)
    hill = paint.outline(painter, horizon, dice.uniform(0.04, 0.14), 2.0)
    paint.hills(painter, hill, horizon + 0.02, 0.9, mix(hue("#7f93b8"), light.meadow, 0.4), 220)
    back = paint.outline(painter, horizon + 0.01, dice.uniform(0.12, 0.5) * horizon, 5.0)
    trees.thicket(painter, back, horizon + 0.03, 0.5, inland.leaves(painter), 700, 0.012)
    if dice.chance(0.75):
        inland.house(painter, dice.uniform(0.2, 0.8), horizon + 0.03, dice.uniform(0.16, 0.28))
    inland.garden_trees(painter, horizon + 0.05, dice.integer(1, 4))
    paint.ground(
        painter,
        lambda x: 0.0 * x + horizon + 0.02,
        1.0,
        (light.meadow, light.meadow_shade),
        1100,
        0.4,
        0.8,
    )
    path = dice.uniform(0.25, 0.75) if dice.chance(0.65) else None
    if path is not None:
        inland.path(painter, path, horizon + 0.03)
    inland.flowers(painter, horizon + 0.03, path)


def fog_city(painter: Painter) -> None:
    """Towers of a city in the fog above a river, with the sun breaking through."""
    light, dice = painter.light, painter.dice
    weather = light.conditions
    shore = weather.horizon
    paint.sky(painter, shore, 1500)
    sun_y = shore * dice.uniform(0.15, 0.6)
    if weather.cloudiness < 0.7:
        paint.sun(painter, sun_y, dice.uniform(0.02, 0.036))
    stone = mix(light.shadow * 0.66, hue(dice.pick(("#43487f", "#5f4878", "#33608a"))), 0.5)
    inland.skyline(painter, shore, 0.55 * shore, stone, 0.85)
    inland.skyline(painter, shore + 0.01, dice.uniform(0.6, 0.85) * shore, stone, 0.08)
    paint.water(painter, shore, mix(light.haze, hue("#5a6f9c"), 0.4), mirror=0.75, upright=0.06)
    if weather.cloudiness < 0.7:
        paint.glitter(painter, weather.sun_x, shore, mix(light.sun, hue("#ffd08a"), 0.4))
    for _ in range(dice.integer(0, 3)):
        near = dice.uniform()
        paint.boat(
            painter,
            dice.uniform(0.05, 0.95),
            shore + 0.05 + 0.5 * near * (1.0 - shore),
            0.06 + 0.06 * near,
            None,
        )
