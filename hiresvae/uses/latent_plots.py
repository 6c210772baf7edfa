"""Plots of the latent space; nothing here knows a model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from hiresvae.distributions.gaussian import ACTIVE
from hiresvae.paths import aside
from hiresvae.uses.latent_map import Posteriors

COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#000000",
    "#997700", "#004488", "#994455", "#44bb99",
)  # fmt: skip
"""Told apart by colour-blind eyes as well (Paul Tol's bright scheme, and some more)."""


def _new(width: float, height: float) -> Figure:
    figure = Figure((width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with aside(path) as file:
        figure.savefig(file, dpi=130)


def scatter(
    points: np.ndarray, labels: np.ndarray | None, classes: Sequence[str], axes: str, path: Path
) -> None:
    """Writes a map of points ``(N, 2)``, coloured by class where there are classes.

    Args:
        points: ``(N, 2)``.
        labels: class of each ``(N,)``, or None.
        classes: their names.
        axes: what the axes are.
        path: file to write.
    """
    figure = _new(7.5, 6)
    plot = figure.add_subplot()
    size = float(np.clip(4000 / len(points), 3, 30))
    if labels is None:
        plot.scatter(points[:, 0], points[:, 1], s=size, c=COLOURS[0], alpha=0.6, linewidths=0)
    else:
        many = len(classes) > len(COLOURS)
        for k, name in enumerate(classes):
            rows = labels == k
            hue = f"C{k % 10}" if many else COLOURS[k]
            x, y = points[rows].T
            plot.scatter(x, y, s=size, c=hue, alpha=0.7, linewidths=0, label=name)
        if not many:
            _name_classes(plot, points, labels, classes)
        if len(classes) <= 20:
            figure.legend(loc="outside right upper", frameon=False, markerscale=2)
    plot.set_xlabel(f"{axes} 1" if axes == "latent" else axes)
    plot.set_ylabel(f"{axes} 2" if axes == "latent" else "")
    plot.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _name_classes(
    plot: Axes, points: np.ndarray, labels: np.ndarray, classes: Sequence[str]
) -> None:
    """Writes each class in the midst of its points: twelve colours are hard to tell apart.

    Names that would lie on one another are moved up.
    """
    found = [(k, np.median(points[labels == k], 0)) for k in np.unique(labels)]
    wide, high = np.ptp(points, 0) * (0.13, 0.035)
    placed: list[tuple[float, float]] = []
    for k, (x, y) in sorted(found, key=lambda one: one[1][1]):
        for other_x, other_y in placed:  # from below, so that what was moved is met again
            if abs(x - other_x) < wide and abs(y - other_y) < high:
                y = other_y + high
        placed = sorted([*placed, (x, y)], key=lambda place: place[1])
        words = plot.annotate(classes[k], (x, y), ha="center", va="center")
        words.set_path_effects([withStroke(linewidth=3, foreground="white")])


def posterior_against_prior(found: Posteriors, path: Path) -> None:
    """Writes the aggregate posterior of the most used latents over N(0, 1), and KL by latent."""
    figure = _new(10, 6.5)
    places = figure.add_gridspec(3, 4)
    order = found.kl.argsort(descending=True)
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(found.means.shape, generator=rng)
    draws: Tensor = found.means + found.stds * noise
    for i, number in enumerate(order[:8].tolist()):
        plot = figure.add_subplot(places[i // 4, i % 4])
        values = draws[:, number].numpy()
        # An adversary may have driven a latent far from the prior: that is what is to be seen.
        least, most = np.quantile(values, [0.001, 0.999]).tolist()
        ends = (min(least, -4.0), max(most, 4.0))
        grid = np.linspace(*ends, 200)
        normal = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
        plot.hist(values, 40, range=ends, density=True, color=COLOURS[0], alpha=0.6)
        plot.plot(grid, normal, color=COLOURS[1], linewidth=1.5)
        plot.set_title(f"latent {number}, {found.kl[number]:.2f} nats", fontsize=9)
        plot.set_yticks([])
        plot.spines[["top", "right", "left"]].set_visible(False)
    bars = figure.add_subplot(places[2, :])
    kl = found.kl[order].numpy()
    active = found.active[order].numpy()
    places_x = np.arange(len(kl))
    for chosen, hue, name in (
        (active, COLOURS[0], f"{active.sum()} active"),
        (~active, COLOURS[6], f"{(~active).sum()} idle (variance of means below {ACTIVE})"),
    ):
        bars.bar(places_x[chosen], kl[chosen], 0.9, color=hue, label=name)
    bars.set_xlabel("latents by use")
    bars.set_ylabel("KL in nats")
    bars.legend(frameon=False)
    bars.spines[["top", "right"]].set_visible(False)
    figure.suptitle("aggregate posterior (blue) and prior N(0, 1) (red line)", fontsize=11)
    _save(figure, path)
