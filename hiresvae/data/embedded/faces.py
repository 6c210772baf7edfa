"""Portraits drawn by code, with attributes that are known exactly.

A face is given by ``(seed, index)``. Its *attributes* (skin tone, smile, age, ...) are drawn
independently of one another and can be replaced one at a time; its *identity* (proportions,
hair style, clothes, background, ...) stays the same while they are. So what a learned model does
when it edits a picture can be compared with what the edit should have done.
"""

from __future__ import annotations

import difflib

import numpy as np
from numpy.typing import NDArray

from hiresvae.data.embedded._face_canvas import Canvas
from hiresvae.data.embedded._face_features import paint_features
from hiresvae.data.embedded._face_hair import Hair
from hiresvae.data.embedded._face_head import Head, paint_head
from hiresvae.data.embedded._face_measure import MEASURES
from hiresvae.data.embedded._face_scene import (
    paint_background,
    paint_body,
    paint_ears,
    paint_glasses,
)
from hiresvae.data.embedded._face_traits import RANGES, Identity, attribute_values, look_of

CLASSES: tuple[str, ...] = ("neutral", "smiling")
ATTRIBUTES: tuple[str, ...] = tuple(RANGES)
SMILE_THRESHOLD = 0.2

_SMALLEST = 8
_FACE_FRAME = (-0.60, 0.60, -0.90, 0.62)  # x and y that hold every face, ears included


def draw(index: int, *, seed: int = 0, size: int = 64) -> NDArray[np.uint8]:
    """Draw one portrait.

    Args:
        index: The number of the picture, from 0 upwards.
        seed: The number of the series; other seeds give other people.
        size: Pixels a side, at least 8. The same face is drawn at every size.

    Returns:
        The picture in RGB: uint8 of shape (3, size, size).

    Raises:
        ValueError: If ``index`` is negative or ``size`` below 8.

    Example:
        >>> draw(0, size=32).shape
        (3, 32, 32)
    """
    return _paint(attributes(index, seed=seed), index, seed, size)


def draw_attributes(
    values: dict[str, float], *, index: int = 0, seed: int = 0, size: int = 64
) -> NDArray[np.uint8]:
    """Draw the portrait of (``seed``, ``index``) with some attributes replaced.

    Args:
        values: New values of attributes, by name, in the units of `attributes`.
        index: The number of the picture whose identity and other attributes are kept.
        seed: The number of the series.
        size: Pixels a side, at least 8.

    Returns:
        The picture in RGB: uint8 of shape (3, size, size).

    Raises:
        ValueError: If an attribute is unknown or its value out of range, or as for `draw`.

    Example:
        >>> draw_attributes({"smile": 1.0}, index=3, size=32).shape
        (3, 32, 32)
    """
    merged = attributes(index, seed=seed)
    for name, value in values.items():
        _check_name(name, ATTRIBUTES)
        low, high = RANGES[name]
        if not low <= value <= high:
            raise ValueError(f"attribute {name!r} must lie in [{low:g}, {high:g}], not {value!r}")
        merged[name] = float(value)
    return _paint(merged, index, seed, size)


def label(index: int, *, seed: int = 0) -> int:
    """Return the class of a portrait: 1 ("smiling") where its smile exceeds 0.2, else 0.

    Example:
        >>> CLASSES[label(0)] in CLASSES
        True
    """
    return int(attributes(index, seed=seed)["smile"] > SMILE_THRESHOLD)


def attributes(index: int, *, seed: int = 0) -> dict[str, float]:
    """Return the exact values that `draw` uses for a portrait.

    Each is independent of the others. Their meaning and range:

    - ``skin_tone``: individual typology angle of the lit base colour, -45 (dark) to 60 (light)
      degrees, uniform
    - ``smile``: -1 (unhappy) to 1 (broad smile), uniform
    - ``eye_opening``: 0 (closed) to 1 (wide open), mostly near 1
    - ``hair_length``: 0 (cropped) to 1 (below the shoulders), uniform
    - ``hair_red``, ``hair_light``: 0 (none, black) to 1 (red, blond), mostly low; with age hair
      also turns grey, which fades both
    - ``glasses``: 0 or 1 (values between are drawn half transparent)
    - ``age``: 18 to 80 years, uniform
    - ``head_turn``: -25 (to the viewer's left) to 25 degrees, mostly near 0
    - ``light_side``: -1 (light from the viewer's left) to 1 (right), uniform

    Example:
        >>> sorted(attributes(0)) == sorted(ATTRIBUTES)
        True
    """
    if index < 0:
        raise ValueError(f"index must be 0 or more, not {index}")
    return attribute_values(seed, index)


def measure(pictures: NDArray[np.uint8], name: str) -> NDArray[np.float64]:
    """Measure an attribute from the pixels of portraits, reading fixed regions of the face.

    Args:
        pictures: RGB, uint8 of shape (N, 3, H, W).
        name: ``"skin_tone"`` (typology angle of nose and cheeks as they appear, in
            degrees: shading included, so close to the attribute but not equal to it),
            ``"hair_light"`` (lightness L* of the hair on top, 0 to 100) or ``"light_side"``
            (lightness L* of the right cheek less that of the left one).

    Returns:
        float64 of shape (N,).

    Raises:
        ValueError: If the shape is wrong or the attribute has no measurement.

    Example:
        >>> measure(draw(0)[None], "skin_tone").shape
        (1,)
    """
    _check_name(name, tuple(MEASURES))
    if pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ValueError(f"pictures must have the shape (N, 3, H, W), not {pictures.shape}")
    return MEASURES[name](pictures)


def _check_name(name: str, known: tuple[str, ...]) -> None:
    """Raise ValueError, naming the nearest known name, unless ``name`` is known."""
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    raise ValueError(f"unknown attribute {name!r}; the nearest known one is {near!r}")


def _paint(values: dict[str, float], index: int, seed: int, size: int) -> NDArray[np.uint8]:
    """Paint a portrait from back to front."""
    if size < _SMALLEST:
        raise ValueError(f"size must be at least {_SMALLEST} pixels, not {size}")
    look = look_of(values, Identity(seed, index))
    canvas = Canvas.for_size(size)
    head = Head(canvas, look)
    hair = Hair(canvas, look, head)
    paint_background(canvas, look)
    hair.paint_back()
    paint_body(canvas, look, head)
    face = canvas.close_up(*_FACE_FRAME)
    head = Head(face, look)
    paint_ears(face, look, head)
    paint_head(face, look, head, face.lift(hair.shade_on_face(), canvas.n))
    paint_features(face, look, head)
    paint_glasses(face, look, head)
    canvas.absorb(face)
    hair.paint_front()
    return canvas.picture(size)
