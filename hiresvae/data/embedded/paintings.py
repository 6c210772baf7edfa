"""Impressionist landscapes drawn by code: an endless picture set without files.

Every picture is a list of brush strokes that follows from its seed and index alone, so it
shows the same scene at every size, and comes out the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hiresvae.data.embedded import _paint_subjects as subjects
from hiresvae.data.embedded._paint_light import Conditions, Light
from hiresvae.data.embedded._paint_painter import Painter
from hiresvae.data.embedded._paint_random import Dice
from hiresvae.data.embedded._paint_strokes import develop

_SMALLEST = 8


@dataclass(frozen=True)
class _Subject:
    compose: Callable[[Painter], None]
    horizon: tuple[float, float]
    fog: tuple[float, float] = (0.0, 0.75)
    season: tuple[float, float] = (0.0, 1.0)
    time_of_day: tuple[float, float] = (0.0, 1.0)  # may run past 1 into the next dawn


_SUBJECTS = {
    "sea": _Subject(subjects.sea, (0.25, 0.62)),
    "haystacks": _Subject(subjects.haystacks, (0.28, 0.5)),
    "poplars": _Subject(subjects.poplars, (0.55, 0.78)),
    "lilies": _Subject(subjects.lilies, (0.0, 0.26), (0.0, 0.4), (0.0, 0.62)),
    "cliffs": _Subject(subjects.cliffs, (0.32, 0.6)),
    "bridge": _Subject(subjects.bridge, (0.42, 0.62), (0.0, 0.45), (0.0, 0.9)),
    "garden": _Subject(subjects.garden, (0.3, 0.5), (0.0, 0.5), (0.0, 0.9)),
    "fog_city": _Subject(subjects.fog_city, (0.45, 0.68), (0.3, 1.0), time_of_day=(0.55, 1.2)),
}

CLASSES: tuple[str, ...] = tuple(_SUBJECTS)
ATTRIBUTES: tuple[str, ...] = tuple(field.name for field in fields(Conditions))

# Separate streams, so that the subject and the conditions are cheap to ask for.
_SUBJECT, _CONDITIONS, _BRUSH = range(3)


def _require_index(index: int) -> None:
    if index < 0:
        raise ValueError(f"index must be 0 or more, got {index}.")


def label(index: int, *, seed: int = 0) -> int:
    """The subject of a picture, as an index into `CLASSES`.

    Each run of eight pictures (0 to 7, 8 to 15, ...) shows every subject once.

    Args:
        index: the picture's number, 0 or more.
        seed: the number of the set the picture belongs to.

    Returns:
        An integer from 0 to 7.

    Raises:
        ValueError: if the index is negative.

    Example:
        >>> CLASSES[label(3)] in CLASSES
        True
    """
    _require_index(index)
    block, place = divmod(index, len(CLASSES))
    order = list(range(len(CLASSES)))
    dice = Dice(seed, block, _SUBJECT)
    for last in range(len(order) - 1, 0, -1):
        other = dice.integer(0, last)
        order[last], order[other] = order[other], order[last]
    return order[place]


def _conditions(index: int, seed: int) -> Conditions:
    subject = _SUBJECTS[CLASSES[label(index, seed=seed)]]
    dice = Dice(seed, index, _CONDITIONS)
    thinnest, thickest = subject.fog
    return Conditions(
        time_of_day=dice.uniform(*subject.time_of_day) % 1.0,
        season=dice.uniform(*subject.season),
        fog=thinnest + (thickest - thinnest) * dice.uniform() * dice.uniform(),
        cloudiness=dice.uniform(),
        warmth=dice.uniform(-1.0, 1.0),
        horizon=dice.uniform(*subject.horizon),
        sun_x=dice.uniform(0.12, 0.88),
        breeze=dice.uniform(),
        chroma=dice.uniform(),
        key=dice.uniform(),
    )


def attributes(index: int, *, seed: int = 0) -> dict[str, float]:
    """The exact conditions that a picture was painted under.

    Args:
        index: the picture's number, 0 or more.
        seed: the number of the set the picture belongs to.

    Returns:
        A value for each name in `ATTRIBUTES`, without a unit: in [-1, 1] for warmth, in
        [0, 1] for the others (horizon and sun_x in sides of the picture, from its top
        left corner).

    Raises:
        ValueError: if the index is negative.

    Example:
        >>> 0.0 <= attributes(3)["time_of_day"] <= 1.0
        True
    """
    _require_index(index)
    return asdict(_conditions(index, seed))


def draw(index: int, *, seed: int = 0, size: int = 64) -> NDArray[np.uint8]:
    """Paints a picture.

    Args:
        index: the picture's number, 0 or more.
        seed: the number of the set the picture belongs to.
        size: the side of the picture in pixels, 8 or more; the scene does not depend on it.

    Returns:
        The picture, uint8 of shape (3, size, size): red, green and blue from 0 to 255.

    Raises:
        ValueError: if the index is negative or the size below 8.

    Example:
        >>> draw(3, size=32).shape
        (3, 32, 32)
    """
    _require_index(index)
    if size < _SMALLEST:
        raise ValueError(f"size must be {_SMALLEST} or more, got {size}.")
    light = Light(_conditions(index, seed))
    painter = Painter(Dice(seed, index, _BRUSH), light)
    _SUBJECTS[CLASSES[label(index, seed=seed)]].compose(painter)
    return develop(painter.strokes, size, light.grade)
