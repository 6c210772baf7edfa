"""Which of several measured values is the better one, said only where their intervals allow it.

Light: figures are what an evaluation's JSON holds, so that tables need neither torch nor a model.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

DIRECTIONS = {
    "up": "higher is better",
    "down": "lower is better",
    "one": "nearest to 1 is best",
}


def direction(figure: Mapping[str, Any]) -> str:
    """Returns in words where better is.

    Example:
        >>> direction({"better": "one"})
        'nearest to 1 is best'
    """
    return DIRECTIONS.get(figure["better"], "neither direction is better")


def best(figures: Sequence[Mapping[str, Any] | None]) -> int | None:
    """Returns which figure is better than every other, or None where that cannot be said.

    It can be said where all were measured in the same way, each has an interval, and the worst
    value in the interval of one is still better than the best value in those of all others. Where
    1 is the aim, better is a smaller ``|log value|``.

    Args:
        figures: the same figure of each of several models, as `Figure.to_json` gives it; None of
            a model for which it was not measured.

    Example:
        >>> def psnr(low, high):
        ...     return {"unit": "dB", "better": "up", "features": None, "interval": [low, high]}
        >>> best([psnr(18, 19), psnr(20, 21)]), best([psnr(18, 20), psnr(19, 21)])
        (1, None)
    """
    found = [figure for figure in figures if figure is not None]
    if len(found) < 2 or len(found) < len(figures):
        return None
    if any(_way(figure) != _way(found[0]) for figure in found):
        return None
    ranges = [_shortfall(figure) for figure in found]
    known = [one for one in ranges if one is not None]
    if len(known) < len(ranges):
        return None
    first = min(range(len(known)), key=lambda i: known[i][1])
    others = [low for i, (low, _) in enumerate(known) if i != first]
    return first if known[first][1] < min(others) else None


def _way(figure: Mapping[str, Any]) -> tuple[Any, ...]:
    """Returns how it was measured: values of other units or features cannot be compared."""
    return figure["unit"], figure["better"], figure.get("features")


def _shortfall(figure: Mapping[str, Any]) -> tuple[float, float] | None:
    """Returns the interval turned so that less is better, or None without one."""
    interval = figure["interval"]
    if interval is None or None in interval:
        return None
    low, high = interval
    match figure["better"]:
        case "down":
            return low, high
        case "up":
            return -high, -low
        case "one":
            a, b = (math.log(x) if x > 0 else -math.inf for x in (low, high))
            near = 0.0 if a <= 0 <= b else min(abs(a), abs(b))
            return near, max(abs(a), abs(b))
    return None
