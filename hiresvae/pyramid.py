"""The sides of the pyramid of levels and the rungs on them, from the words of `model.pyramid`."""

import re
from itertools import pairwise
from typing import NamedTuple

from hiresvae.errors import UserError

# Halving ends on a side in this range: smaller sides are nearly all padding under a 3x3
# convolution, larger ones leave the vector rung on top too much to say at once.
COARSEST = range(4, 8)
WIDEST_START = 8  # an explicit pyramid may also stop halving here
ONWARDS = "..."
_TOKEN = re.compile(r"([1-9]\d{0,4})(?:x(\d{1,3}))?")


class Level(NamedTuple):
    """One level of the pyramid.

    Attributes:
        side: height and width of its states in pixels.
        rungs: rungs of latents on it; 0 is a level of features only.
    """

    side: int
    rungs: int


def rung_sides(text: str, size: int) -> list[int]:
    """Returns the side of each rung, top first; for what the words mean see `parse_pyramid`.

    Example:
        >>> rung_sides("1x1 4x2 8x1 ...", 32)
        [1, 4, 4, 8]
    """
    return [side for side, rungs in parse_pyramid(text, size) for _ in range(rungs)]


def parse_pyramid(text: str, size: int) -> tuple[Level, ...]:
    """Returns the levels from coarse to fine; the last one has the side of the pictures.

    Args:
        text: ``auto``, one vector rung above the sides that halving reaches, or tokens
            ``SIDExRUNGS`` (``SIDE`` alone has no rung) top-down: each side is twice the last,
            except that the first may be 1, a vector, followed by any side up to 8. A last ``...``
            stands for the sides without rungs up to that of the pictures, if there are any.
        size: side of the pictures in pixels.

    Raises:
        UserError: the words or the sides do not fit; names the nearest that do.

    Example:
        >>> [tuple(level) for level in parse_pyramid("auto", 28)]
        [(1, 1), (7, 0), (14, 0), (28, 0)]
        >>> [tuple(level) for level in parse_pyramid("1x1 4x2 8x4 16", 16)]
        [(1, 1), (4, 2), (8, 4), (16, 0)]
        >>> [tuple(level) for level in parse_pyramid("1x1 4x2 8x4 ...", 32)]
        [(1, 1), (4, 2), (8, 4), (16, 0), (32, 0)]
    """
    if text.strip() == "auto":
        return Level(1, 1), *(Level(side, 0) for side in _auto_sides(size))
    tokens = text.split()
    onwards = tokens[1:] and tokens[-1] == ONWARDS
    levels = tuple(_level(token, text) for token in (tokens[:-1] if onwards else tokens))
    if not levels:
        raise UserError("model.pyramid is empty; say 'auto' or sides such as '1x1 4x2 8x2 16'")
    if not any(level.rungs for level in levels):
        raise UserError(
            f"model.pyramid {text!r} has no rung, so no latents; start with '{levels[0].side}x1'"
        )
    if onwards:
        levels += tuple(Level(side, 0) for side in _sides_above(levels[-1].side, size))
    _check_sides([level.side for level in levels], text, size)
    return levels


def sides_of(size: int) -> list[int] | None:
    """Returns the sides from 4..7 up to the size, each twice the last, or None if there are none.

    Example:
        >>> sides_of(48), sides_of(50)
        ([6, 12, 24, 48], None)
    """
    sides = [size]
    while sides[0] not in COARSEST:
        if sides[0] % 2 or sides[0] < COARSEST.start:
            return None
        sides.insert(0, sides[0] // 2)
    return sides


def nearest_sizes(size: int) -> list[int]:
    """Returns the closest sizes that halve to a side of 4..7: one below (if any) and one above.

    Example:
        >>> nearest_sizes(100), nearest_sizes(3)
        ([96, 112], [4])
    """
    below = next((s for s in range(size - 1, 0, -1) if sides_of(s)), None)
    above = next(s for s in range(size + 1, 2 * size + COARSEST.stop) if sides_of(s))
    return [above] if below is None else [below, above]


def _sides_above(side: int, size: int) -> list[int]:
    """Returns the sides that follow one up to the size: twice, four times and so on."""
    if side == 1:
        return _auto_sides(size)
    return [side << i for i in range(1, (size // side).bit_length())]


def _auto_sides(size: int) -> list[int]:
    sides = sides_of(size)
    if sides is None:
        near = " or ".join(map(str, nearest_sizes(size)))
        raise UserError(
            f"data.size {size} cannot be halved down to a side of 4 to 7, as model.pyramid 'auto' "
            f"needs; nearest valid: {near}"
        )
    return sides


def _level(token: str, text: str) -> Level:
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise UserError(
            f"model.pyramid {text!r}: {token!r} is no level; write SIDE or SIDExRUNGS, "
            "such as '1x1 4x2 8x2 16', or 'auto'"
        )
    return Level(int(match[1]), int(match[2] or 0))


def _check_sides(sides: list[int], text: str, size: int) -> None:
    """Refuses sides that do not double up to the size, and says what would follow."""
    spatial = sides[1:] if sides[0] == 1 else sides
    if spatial and spatial[0] == 1:
        raise UserError(f"model.pyramid {text!r} has two vectors on top; drop one '1'")
    if spatial and spatial[0] > WIDEST_START:
        raise UserError(
            f"model.pyramid {text!r}: the first side after the vector is {spatial[0]}, but may be "
            f"{WIDEST_START} at most; halve further"
        )
    for last, side in pairwise(spatial):
        if side != 2 * last:
            raise UserError(
                f"model.pyramid {text!r}: {side} follows {last}, but each side is twice the last; "
                f"nearest valid: {2 * last}"
            )
    if sides[-1] == size:
        return
    missing = [side for side in sides_of(size) or [] if side > sides[-1]]
    if missing and (not spatial or missing[0] == 2 * spatial[-1]):
        more = " ".join([text.strip(), *map(str, missing)])
        raise UserError(
            f"model.pyramid {text!r} ends at {sides[-1]}, but data.size is {size}; "
            f"nearest valid: {more!r}"
        )
    raise UserError(
        f"model.pyramid {text!r} ends at {sides[-1]}, but data.size is {size}; "
        f"nearest valid: data.size {sides[-1]}, or model.pyramid 'auto'"
    )
