"""What there is to look at when models are compared: pictures, spectra and curves of training."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hiresvae.report.markup import Html, detailed_square, joined, mosaic, picture, table, tag
from hiresvae.report.plots import Line, line_plot
from hiresvae.report.words import listed
from hiresvae.uses.compare import PRIORS, Comparison, Contestant
from hiresvae.uses.curves import Curve

ZOOM = 64
"""Side of the largest square that is shown enlarged, in pixels."""
CURVES = {
    "kernel_distance_held_out": ("distance of samples from held-out pictures", "lower is better"),
    "error": ("error of reconstructions, in training", "lower is better"),
    "rate_nats": ("rate: what the latents tell of a picture", "neither direction is better"),
    "images_per_second": ("speed", "higher is better"),
}


def reconstructions(comparison: Comparison) -> Html:
    """Returns held-out pictures beside what each model makes of them."""
    words = (
        f"{comparison.role.capitalize()} pictures, none chosen by hand, and what each model makes "
        "of them without noise."
    )
    seen = comparison.inputs()
    if len(seen) > 1 or "the pictures themselves" not in seen:
        words += " Encoders saw " + "; ".join(f"{what}: {listed(of)}" for what, of in seen.items())
        words += "."
    if len(seen) > 1:
        words += " As that is not the same for all, no figure of reconstructions is marked better."
    return joined([tag("p", words), _rows(comparison, lambda pixels: pixels, 96, "picture")])


def zooms(comparison: Comparison) -> Html:
    """Returns the most detailed square of each of these pictures, pixel by pixel."""
    size = comparison.originals.shape[-1]
    side = min(ZOOM, size // 2)
    places = [detailed_square(pixels, side) for pixels in comparison.originals]

    def cut(pixels: Tensor) -> Tensor:
        squares = zip(pixels, places, strict=True)
        return torch.stack([x[:, y : y + side, left : left + side] for x, (y, left) in squares])

    words = (
        f"Of the same pictures the {side} x {side} px with most detail in the original, each pixel "
        "a square of its own, nothing smoothed."
    )
    return joined([tag("p", words), _rows(comparison, cut, 160, "zoom into picture")])


def _rows(comparison: Comparison, cut: Callable[[Tensor], Tensor], side: int, what: str) -> Html:
    """Returns a row for each held-out picture: the original, then each model's."""
    columns = [("original", comparison.originals)]
    columns += [(one.name, one.reconstructions) for one in comparison.contestants]
    cut_columns = [(name, cut(pictures)) for name, pictures in columns]
    heads = [tag("td"), *(tag("th", name, scope="col") for name, _ in columns)]
    rows = []
    for i in range(len(comparison.originals)):
        cells = [
            tag("td", picture(pictures[i], f"{what} {i + 1}, {name}", side=side))
            for name, pictures in cut_columns
        ]
        rows.append(tag("tr", tag("th", str(i + 1), scope="row"), *cells))
    caption = f"Each {what} as it is and reconstructed"
    return table(caption, [tag("tr", *heads)], [tag("tbody", *rows)], class_="pictures")


def samples(comparison: Comparison) -> Html:
    """Returns samples of both priors, those of all models from the same noise."""
    alike = comparison.same_noise()
    if alike and len(alike[0]) == len(comparison.contestants):
        same = "Pictures at the same place come from the same noise."
    else:
        same = "The latents have different shapes, so the same seed is not the same noise"
        same += f" but of {listed([listed(names) for names in alike])}." if alike else "."
    words = {
        "fitted": "Fitted prior: the density fitted to the latents of the training pictures. "
        "This is what is drawn unless told otherwise.",
        "standard": "Standard prior: N(0, I), which the latents only roughly follow.",
    }
    parts: list[Html] = [tag("p", f"Not chosen: the first ones of seed {comparison.seed}. {same}")]
    for prior in PRIORS:
        parts.append(tag("h3", words[prior].partition(":")[0]))
        parts.append(tag("p", words[prior].partition(": ")[2]))
        figures = [_mosaic(one, prior) for one in comparison.contestants]
        parts.append(tag("div", *figures, class_="side"))
    return joined(parts)


def _mosaic(one: Contestant, prior: str) -> Html:
    pictures = one.samples[prior]
    alt = f"{len(pictures)} samples of {one.name} from the {prior} prior"
    return tag("figure", tag("figcaption", one.name), mosaic(pictures, alt, columns=4, side=80))


def neighbours(comparison: Comparison) -> Html:
    """Returns samples beside the training pictures nearest to them."""
    every = comparison.contestants
    usual = comparison.real_distance
    beside = (
        f" Held-out pictures, which no model has seen, are {usual:.0f} away in the median: far "
        "smaller distances than that are copies."
        if math.isfinite(usual)
        else ""
    )
    words = (
        "The first samples of the fitted prior beside the training picture nearest to each, by "
        "pixels at 16 px. Below: root mean square of the difference, in levels of 255." + beside
    )
    top = [tag("td"), *(tag("th", one.name, scope="colgroup", colspan=2) for one in every)]
    pair = ("sample", "nearest training picture")
    below = [tag("td"), *(tag("th", words, scope="col") for _ in every for words in pair)]
    rows = []
    for i in range(len(every[0].neighbours.pictures)):
        cells = []
        for one in every:
            made = picture(one.samples["fitted"][i], f"sample {i + 1} of {one.name}", side=72)
            alt = f"training picture nearest to sample {i + 1} of {one.name}"
            near = picture(one.neighbours.pictures[i], alt, side=72)
            distance = tag("small", f"{one.neighbours.distance[i]:.0f} levels")
            cells += [tag("td", made), tag("td", near, distance)]
        rows.append(tag("tr", tag("th", str(i + 1), scope="row"), *cells))
    shown = table(
        "Samples and their nearest training pictures",
        [tag("tr", *top), tag("tr", *below)],
        [tag("tbody", *rows)],
        class_="pictures",
    )
    return joined([tag("p", words), shown])


def spectra(comparison: Comparison) -> Html:
    """Returns plots of power by frequency, real pictures beside those of the models."""
    words = (
        "Mean power of the brightness by frequency, up to the finest detail that pixels can show "
        "(0.5 cycles per pixel). Nearest to the real pictures is best: below them detail is "
        "missing, above them there is noise or a grid."
    )
    figures = []
    for role in ("samples", "reconstructions"):
        real = (f"real ({comparison.role})", 0, comparison.frequency, comparison.real_spectrum)
        lines = [Line(*real)]
        for i, one in enumerate(comparison.contestants, start=1):
            lines.append(Line(one.name, i, comparison.frequency, one.spectra[role]))
        figures.append(
            line_plot(
                lines,
                title=f"power of {role}",
                x_label="cycles per pixel",
                y_label="decibel; nearest to real is best",
            )
        )
    return joined([tag("p", words), tag("div", *figures, class_="plots")])


def curves(comparison: Comparison) -> Html:
    """Returns what changed over the trainings, against images and against seconds."""
    parts, notes = [], []
    for name, (title, better) in CURVES.items():
        found = [
            (i, one.name, one.training.curves[name])
            for i, one in enumerate(comparison.contestants, start=1)
            if one.training is not None and name in one.training.curves
        ]
        units = {curve.unit for _, _, curve in found}
        if len(units) > 1:
            notes.append(
                f"{title}: left out, measured in different units ({listed(sorted(units))})."
            )
        if len(units) == 1:
            label = f"{units.pop()}; {better}"
            parts += [
                line_plot(
                    [Line(who, i, along(curve), curve.values) for i, who, curve in found],
                    title=f"{title}, by {axis}",
                    x_label=axis,
                    y_label=label,
                )
                for axis, along in AXES.items()
            ]
    silent = [one.name for one in comparison.contestants if one.training is None]
    if silent:
        notes.append(f"No curves of {listed(silent)}: that is a model without its run folder.")
    words = "Against images the models are compared at equal data, against time at equal cost."
    return joined(
        [
            *(tag("p", text) for text in (words, *notes)),
            tag("div", *parts, class_="plots"),
        ]
    )


def _along_images(curve: Curve) -> np.ndarray:
    return curve.images


def _along_seconds(curve: Curve) -> np.ndarray:
    return curve.seconds


AXES: dict[str, Callable[[Curve], np.ndarray]] = {
    "images seen": _along_images,
    "seconds of training": _along_seconds,
}
