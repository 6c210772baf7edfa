"""Leaves: the broken greens of trees, bushes and hedges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hiresvae.data.embedded._paint_elements import Profile
from hiresvae.data.embedded._paint_light import mix
from hiresvae.data.embedded._paint_painter import Painter
from hiresvae.data.embedded._paint_random import Array, fractal, noise


def foliage(
    painter: Painter,
    x: Array,
    y: Array,
    depth: Array,
    colours: tuple[Array, Array],
    size: Array | float = 0.012,
    distance: Array | float = 0.0,
    grain: Array | float = 13.0,
    upright: float = 0.0,
) -> None:
    """Leaves: dabs in clumps, warm where the sun hits a clump and cool where it does not.

    Args:
        painter: the painting.
        x: places of the leaves.
        y: the same.
        depth: how deep in the shade of the whole form a place lies: 0 outside, 1 inside.
        colours: the local colour in the light, and the one in the shade.
        size: half the length of a dab.
        distance: 0 near, 1 far away.
        grain: clumps in one picture width.
        upright: 0 for dabs every way, 1 for upright strokes.
    """
    light = painter.light
    shift = painter.dice.uniform(0, 90)
    side = 0.45 * (light.conditions.sun_x - 0.5)
    u, v = x * grain + shift, y * grain
    relief = fractal(u, v) - fractal(u + side, v - 0.55)
    lit = np.minimum(np.maximum(0.62 + 1.9 * relief - 0.62 * depth, 0.0), 1.0)
    colour = light.lit(mix(colours[1], colours[0], lit), 0.15 + 0.85 * lit)
    painter.dab(
        x,
        y,
        light.far(colour, distance),
        size,
        0.42 * size,
        (1.0 - upright) * (noise(u * 1.7, v * 1.7) - 0.5) * 3.0 + 0.05,
        1.0,
        broken=0.08,
        loose=0.8 - 0.6 * upright,
        block_in=2.0,
    )


def thicket(
    painter: Painter,
    top: Profile,
    base: float,
    distance: float,
    colours: tuple[Array, Array],
    count: int = 700,
    size: float = 0.012,
    left: float = -0.02,
    right: float = 1.02,
) -> None:
    """A mass of trees or bushes between an outline and a base line."""
    steps = np.linspace(left, right, 65)
    highest = float(np.min(top(steps)))
    x, y = painter.cover(count, left, highest, right, base + 0.01)
    crown = top(x)
    inside = y > crown
    x, y, crown = x[inside], y[inside], crown[inside]
    depth = np.minimum((y - crown) / max(base - highest, 0.05), 1.0)
    foliage(painter, x, y, depth, colours, size, distance)


@dataclass(frozen=True)
class Crowns:
    """The round or tall crowns of some trees; every field has one entry a tree."""

    x: Array  # middles
    y: Array
    half_width: Array
    half_height: Array
    distance: Array  # 0 near, 1 far away
    leaf: Array  # (3, trees): the colour in the light
    shade: Array  # (3, trees): the colour in the shade


def crowns(painter: Painter, trees: Crowns, leaves: int, upright: float = 0.0) -> None:
    """Crowns with ragged edges, as `leaves` dabs for each tree, in the order given."""
    u, v = painter.cover(leaves * len(trees.x), -1.1, -1.1, 1.1, 1.1)
    tree = np.arange(len(u)) * len(trees.x) // len(u)
    shift = painter.dice.uniform(0, 90)
    edge = 0.5 + 0.85 * noise(u * 1.8 + 7.3 * tree + shift, v * 2.2)
    inside = u * u + v * v < edge
    u, v, tree = u[inside], v[inside], tree[inside]
    side = 1.0 - 2.0 * painter.light.conditions.sun_x
    depth = np.minimum(np.maximum(0.35 + 0.4 * v + 0.45 * side * u, 0.0), 1.0)
    wide, high = trees.half_width[tree], trees.half_height[tree]
    foliage(
        painter,
        trees.x[tree] + u * wide,
        trees.y[tree] + v * high,
        depth,
        (trees.leaf[:, tree], trees.shade[:, tree]),
        2.0 * np.sqrt(wide * high / leaves),
        trees.distance[tree],
        1.6 / np.minimum(wide, high),
        upright,
    )
