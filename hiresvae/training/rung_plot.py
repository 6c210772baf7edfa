"""The plot of what each rung carries over the course of a training."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hiresvae.paths import aside
from hiresvae.training.rungs import SILENT, active_names, rate_names

LEAST = 0.01
"""Nats at the foot of the plot."""
NAMED = 24
"""Rungs up to which each has its name in the legend."""


def draw_rungs(
    lines: Sequence[dict[str, Any]], shapes: Sequence[tuple[int, int, int]], path: Path
) -> None:
    """Writes KL and share of active latents of each rung over the images seen.

    Args:
        lines: of metrics.jsonl, in order.
        shapes: ``(D, h, w)`` of the rungs, top first.
        path: file to write, whole or not at all.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(shapes)
    figure = Figure((9, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    hues = colormaps["viridis"]
    names = zip(rate_names(count), active_names(count), shapes, strict=True)
    for i, (rate, active, shape) in enumerate(names):
        look = {"color": hues(0.95 * i / max(1, count - 1)), "linewidth": 1.5, "marker": "."}
        x, y = _curve(lines, rate)
        label = f"{i}: {shape[0]} x {shape[1]} x {shape[2]}"
        above.plot(x, [max(LEAST, value) for value in y], label=label, **look)
        x, y = _curve(lines, active)
        below.plot(x, [value / math.prod(shape) for value in y], **look)
    above.set_yscale("log")
    above.axhline(SILENT, color="0.6", linestyle=":", linewidth=1)
    above.set_ylabel("KL in nats a picture")
    below.set_ylabel("share of latents that are active")
    below.set_ylim(-0.03, 1.03)
    below.set_xlabel("thousands of images seen")
    for plot in (above, below):
        plot.spines[["top", "right"]].set_visible(False)
    if count <= NAMED:
        figure.legend(loc="outside right upper", frameon=False, title="rung, from the top")
    with aside(path) as file:
        figure.savefig(file, dpi=110)


def _curve(lines: Sequence[dict[str, Any]], name: str) -> tuple[list[float], list[float]]:
    """Returns thousands of images and values of a figure, where it was told."""
    found = [(line["images"] / 1000, float(line[name])) for line in lines if name in line]
    return [x for x, _ in found], [y for _, y in found]
