"""Which of several measured values is the better one, said only where their intervals allow it.

Some figures can be won without better pictures: noise and sharpening raise them. One of these is
better only where features, which see through both, were measured, and say the same as patches.

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
FOOLED = ("sharpness_ratio", "acutance_ratio", "diversity", "nearest", "copies")
"""Beginnings of the names of figures that noise or sharpening wins; `benchmarks/tricks.py`."""


def direction(figure: Mapping[str, Any]) -> str:
    """Returns in words where better is.

    Example:
        >>> direction({"better": "one"})
        'nearest to 1 is best'
    """
    return DIRECTIONS.get(figure["better"], "neither direction is better")


def winner(name: str, models: Sequence[Mapping[str, Mapping[str, Any]]]) -> int | None:
    """Returns which model is better in a figure than every other, or None where that is not said.

    As `best`; a figure of `FOOLED` also needs witnesses: the kernel distance of features, measured
    of all models, and no other measured one may have its best value in another model. Patches alone
    are no witness: each trick brings those of a blurred picture nearer to real ones.

    Args:
        name: of the figure.
        models: the figures of each model by name, as `Figure.to_json` gives them.
    """
    first = best([figures.get(name) for figures in models])
    if first is None or not name.startswith(FOOLED):
        return first
    said = [nearest([figures.get(one) for figures in models]) for one in witnesses(name)]
    _, *features = said
    return first if first in features and {*said} <= {first, None} else None


def of_reconstructions(name: str) -> bool:
    """Whether a figure is of reconstructions, which depend on what the encoder saw.

    Example:
        >>> [of_reconstructions(name) for name in ("rkid", "psnr_reconstructions", "recall_fitted")]
        [True, True, False]
    """
    distances = ("rfid", "rkid", "rfrechet", "rkernel")
    return name.endswith("_reconstructions") or name.startswith(distances)


def witnesses(name: str) -> list[str]:
    """Returns the distances of the same pictures by which a winner is judged, of patches first.

    Example:
        >>> witnesses("sharpness_ratio_reconstructions")
        ['swd_reconstructions', 'rkid', 'rkernel']
    """
    role = name.rpartition("_")[2]
    if role == "reconstructions":
        return ["swd_reconstructions", "rkid", "rkernel"]
    # Pixels and features call the same samples by different names, but where a folder holds them.
    of_pixels = "samples" if role == "fitted" else role
    of_features = ("fitted", "samples") if of_pixels == "samples" else (role,)
    kernels = [f"g{kernel}_{one}" for one in of_features for kernel in ("kid", "kernel")]
    return [f"swd_{of_pixels}", *kernels]


def nearest(figures: Sequence[Mapping[str, Any] | None]) -> int | None:
    """Returns which figure has the best value, whatever its error; None where one is not known.

    Args:
        figures: as of `best`.
    """
    found = [figure for figure in figures if figure is not None and figure["value"] is not None]
    if len(found) < len(figures) or any(_way(figure) != _way(found[0]) for figure in found):
        return None
    values = [_shortfall({**figure, "interval": [figure["value"]] * 2}) for figure in found]
    known = [one[0] for one in values if one is not None]
    return known.index(min(known)) if known and len(known) == len(figures) else None


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
