"""Lines as inline SVG: their colours are the page's, so they follow light and dark."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hiresvae.report.markup import Html, joined, tag

WIDTH, HEIGHT = 420, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 44
# Lines that are told apart without colours as well.
DASHES = ("none", "7 3", "2 3", "9 3 2 3", "5 2 1 2 1 2", "1 4")


class Line(NamedTuple):
    """One line of a plot.

    Attributes:
        name: for the legend.
        number: of the colour; 0 is the real pictures', 1 and up the models'.
        x: ``(n,)``.
        y: ``(n,)``.
    """

    name: str
    number: int
    x: np.ndarray
    y: np.ndarray


def line_plot(lines: Sequence[Line], *, title: str, x_label: str, y_label: str) -> Html:
    """Returns a figure of lines with axes, legend and a description in words.

    Values far apart and all above 0 get a logarithmic axis.

    Args:
        lines: at least one, each of one point or more; what is not finite is left out.
        title: what is shown.
        x_label: with its unit.
        y_label: with its unit, and where better is.
    """
    shown = [_finite(line) for line in lines]
    shown = [line for line in shown if len(line.x)]
    if not shown:
        return tag("figure", tag("figcaption", f"{title}: nothing finite to show"))
    x_axis = _Axis(np.concatenate([line.x for line in shown]), LEFT, WIDTH - RIGHT, log=False)
    values = np.concatenate([line.y for line in shown])
    far = values.min() > 0 and values.max() / values.min() > 50
    y_axis = _Axis(values, HEIGHT - BOTTOM, TOP, log=bool(far))
    drawing = tag(
        "svg",
        tag("title", title),
        tag("desc", _in_words(shown, x_label)),
        *_grid(x_axis, y_axis),
        tag("text", x_label, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 8, class_="label middle"),
        *(_drawn(line, x_axis, y_axis) for line in shown),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=title,
    )
    axis = f"{y_label}, logarithmic" if far else y_label
    return tag(
        "figure",
        tag("figcaption", tag("b", title), tag("br"), f"upwards: {axis}"),
        drawing,
        legend([(line.name, line.number) for line in shown]),
        class_="plot",
    )


def legend(entries: Sequence[tuple[str, int]]) -> Html:
    """Returns names with the strokes of their lines."""
    return tag(
        "ul",
        *(tag("li", _stroke(number), " ", name) for name, number in entries),
        class_="legend",
    )


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Returns round numbers from low to high, about ``most`` of them.

    Example:
        >>> ticks(0, 97)
        [0.0, 20.0, 40.0, 60.0, 80.0]
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def short(value: float) -> str:
    """Returns a number for an axis.

    Example:
        >>> short(12000), short(0.25), short(2.5e6), short(-20)
        ('12k', '0.25', '2.5M', '-20')
    """
    for size, letter in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.4g}{letter}"
    return f"{value:.4g}"


class _Axis:
    """Values to places on the page."""

    def __init__(self, values: np.ndarray, begin: float, end: float, *, log: bool) -> None:
        low, high = float(values.min()), float(values.max())
        if log:
            low, high = math.log10(low), math.log10(high)
        room = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
        if low != high and begin < end:  # to the right: from the first value to the last
            room = 0.0
        self.low, self.high, self.begin, self.end, self.log = (
            low - room,
            high + room,
            begin,
            end,
            log,
        )

    def places(self, values: np.ndarray) -> np.ndarray:
        """Returns where values lie, in units of the drawing."""
        x = np.log10(values) if self.log else np.asarray(values, np.float64)
        share = (x - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Returns the values that are written at the axis."""
        found = ticks(self.low, self.high)
        if not self.log:
            return found
        whole = [10.0**k for k in range(math.ceil(self.low), math.floor(self.high) + 1)]
        return whole if len(whole) > 1 else [float(f"{10**x:.2g}") for x in found]


def _grid(x_axis: _Axis, y_axis: _Axis) -> list[Html]:
    parts = []
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for value in x_axis.ticks():
        x = _place(x_axis, value)
        parts.append(tag("line", x1=x, x2=x, y1=TOP, y2=bottom, class_="grid"))
        parts.append(tag("text", short(value), x=x, y=bottom + 16, class_="middle"))
    for value in y_axis.ticks():
        y = _place(y_axis, value)
        parts.append(tag("line", x1=LEFT, x2=right, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", short(value), x=LEFT - 6, y=y + 4, class_="end"))
    parts.append(
        tag("polyline", points=f"{LEFT},{TOP} {LEFT},{bottom} {right},{bottom}", class_="axis")
    )
    return parts


def _drawn(line: Line, x_axis: _Axis, y_axis: _Axis) -> Html:
    x, y = x_axis.places(line.x), y_axis.places(line.y)
    hue = _hue(line.number)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    parts = [
        tag("polyline", points=points, class_=f"line {hue}", stroke_dasharray=_dash(line.number))
    ]
    if len(x) <= 12:
        parts += [
            tag("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=3, class_=f"dot {hue}")
            for a, b in zip(x, y, strict=True)
        ]
    return joined(parts)


def _stroke(number: int) -> Html:
    line = tag(
        "line", x1=0, x2=28, y1=5, y2=5, class_=f"line {_hue(number)}",
        stroke_dasharray=_dash(number),
    )  # fmt: skip
    return tag("svg", line, viewBox="0 0 28 10", width=28, height=10, aria_hidden="true")


def _hue(number: int) -> str:
    """Returns the class of a line's colour; the first is of the real pictures alone."""
    return f"s{1 + (number - 1) % (len(DASHES) - 1)}" if number else "s0"


def _dash(number: int) -> str:
    """Returns the dashes of a line: each round of the colours has others with them."""
    models = len(DASHES) - 1
    shifted = number - 1 + (number - 1) // models
    return DASHES[1 + shifted % models] if number else DASHES[0]


def _place(axis: _Axis, value: float) -> float:
    return round(float(axis.places(np.array(value))), 1)


def _finite(line: Line) -> Line:
    rows = np.isfinite(line.x) & np.isfinite(line.y)
    return line._replace(x=line.x[rows], y=line.y[rows])


def _in_words(lines: Sequence[Line], x_label: str) -> str:
    """Returns where each line begins and ends, for those who do not see it."""
    return "; ".join(
        f"{line.name}: from {line.y[0]:.3g} at {line.x[0]:.3g} to {line.y[-1]:.3g} at "
        f"{line.x[-1]:.3g} {x_label}"
        for line in lines
    )
