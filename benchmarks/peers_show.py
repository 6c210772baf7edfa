"""What the comparison with other packages shows: a table, who is first, curves and samples."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hiresvae import images
from hiresvae.uses.verdict import best

TABLE = {
    "gfid_samples": "FID",
    "gkid_samples": "KID, 1e-3",
    "gkid_held_out": "KID to held-out, 1e-3",
    "gfrechet_samples": "Frechet distance",
    "gkernel_samples": "kernel distance, 1e-3",
    "sharpness_ratio_samples": "sharpness ratio",
    "spectrum_distance_samples": "spectrum, dB",
    "swd_samples": "SWD, 1e-3",
    "coverage_samples": "coverage",
    "diversity_pixels_samples": "diversity in pixels",
    "copies_pixels_share_samples": "copies, share",
}
"""Figures of the table, if they were measured, and their heads."""
RANKED = ("gfid_samples", "gkid_samples", "gfrechet_samples", "gkernel_samples", "swd_samples")
CURVES = (
    ("gkid_samples", "gkernel_samples", "swd_samples"),
    ("sharpness_ratio_samples",),
)
"""What is drawn against seconds: of each the first that was measured."""
SHOWN = 10

Row = Mapping[str, Any]


def markdown(rows: Sequence[Row], absent: Mapping[str, str], setting: Sequence[str]) -> str:
    """Returns the page: what was asked, the table, who is first, and who could not be run.

    Args:
        rows: of contestants and marks; ``mark`` is None of real pictures.
        absent: reason by name.
        setting: sentences that come first.
    """
    names = [name for name in TABLE if any(name in row["figures"] for row in rows)]
    heads = ["contestant", "budget, s", "trained, s", "images", "parameters"]
    heads += [TABLE[name] for name in names]
    lines = [*setting, "", f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    # Of one budget after the other, the reals last.
    order = sorted(rows, key=lambda row: math.inf if row["mark"] is None else row["mark"])
    for row in order:
        budget = "-" if row["mark"] is None else f"{row['mark']:g}"
        cells = [row["who"], budget, _told(row, "seconds", ".1f")]
        cells += [_told(row, key, ",d") for key in ("images", "parameters")]
        cells += [_cell(row["figures"].get(name), "1e-3" in TABLE[name]) for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(f"- {line}" for line in firsts(rows))]
    notes = {row["who"]: row["notes"] for row in rows if row.get("notes")}
    lines += [f"- {who}: {'; '.join(said)}" for who, said in notes.items()]
    if absent:
        lines += ["", "Not run:", "", *(f"- {who}: {reason}" for who, reason in absent.items())]
    return "\n".join(lines) + "\n"


def firsts(rows: Sequence[Row]) -> list[str]:
    """Returns a sentence for each budget and ranked figure: who has the lowest."""
    said = []
    for mark in sorted({row["mark"] for row in rows if row["mark"] is not None}):
        there = [row for row in rows if row["mark"] == mark]
        for name in RANKED:
            having = [row for row in there if _value(row, name) is not None]
            if len(having) < 2:
                continue
            first = having[int(np.argmin([_value(row, name) for row in having]))]
            sure = best([row["figures"][name] for row in having]) is not None
            words = ", beyond the 95 % intervals of all others" if sure else ""
            said.append(f"Lowest {TABLE[name].split(',')[0]} at {mark:g} s: {first['who']}{words}")
    return said


def _value(row: Row, name: str) -> float | None:
    return (row["figures"].get(name) or {}).get("value")


def _told(row: Row, key: str, style: str) -> str:
    value = row.get(key)
    return "-" if value is None else format(value, style)


def _cell(figure: Mapping[str, Any] | None, thousandths: bool) -> str:
    if figure is None or figure["value"] is None:
        return "-"
    # Squared MMD is small; SWD is in thousandths already.
    scale = 1000 if thousandths and figure["unit"] == "squared MMD" else 1
    value = f"{scale * figure['value']:.3g}"
    interval = figure["interval"]
    if interval is None or None in interval:
        return value
    return f"{value} ({' to '.join(f'{scale * bound:.3g}' for bound in interval)})"


def curves(rows: Sequence[Row], floors: Mapping[str, Any], path: Path) -> None:
    """Writes the figures against seconds of training, ours in full lines, as a PNG.

    Args:
        rows: as for `markdown`.
        floors: of `peers_judge.Judge.floors`.
        path: of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    timed = [row for row in rows if row["mark"] is not None]
    names = list(dict.fromkeys(row["who"] for row in timed))
    for plot, candidates in zip(figure.subplots(1, len(CURVES)), CURVES, strict=True):
        measured = [name for name in candidates if any(name in row["figures"] for row in timed)]
        if not measured:
            plot.set(title=f"{candidates[0]} was not measured")
            continue
        name = measured[0]
        for number, who in enumerate(names):
            mine = [row for row in timed if row["who"] == who and _value(row, name) is not None]
            if not mine:
                continue
            mine.sort(key=lambda row: row["seconds"])
            line, marker, width = ("-", "o", 2.5) if mine[0]["ours"] else ("--", "s", 1.2)
            plot.plot(
                [row["seconds"] for row in mine], [_value(row, name) for row in mine], line,
                marker=marker, linewidth=width, color=f"C{number % 10}", label=who,
            )  # fmt: skip
        ratio = name == "sharpness_ratio_samples"
        floor = floors.get("floor_" + name.split("_")[0].removeprefix("g"), {}).get("value")
        aim = 1.0 if ratio else floor
        if aim is not None:
            plot.axhline(max(aim, 0), color="grey", linestyle=":", label="real pictures")
        plot.set(xscale="log", title=TABLE[name].split(",")[0], xlabel="seconds of training")
        # An estimate of a squared distance may be below zero, where no logarithm is.
        scale = {"value": "log"} if ratio else {"value": "symlog", "linthresh": 1e-3}
        plot.set_yscale(**scale)
        if not ratio:
            lowest = min((_value(row, name) or 0 for row in timed), default=0)
            plot.set_ylim(bottom=min(lowest, 0))
        plot.grid(alpha=0.3, which="both")
        plot.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def sheet(rows: Sequence[tuple[str, np.ndarray]], path: Path) -> list[str]:
    """Writes the first samples of each, a row each, and returns whose row is which.

    Args:
        rows: name and pictures uint8 ``(N, C, S, S)``.
        path: of the PNG.
    """
    if not rows:
        return []
    columns = min(SHOWN, *(len(made) for _, made in rows))
    cells = torch.cat([torch.from_numpy(made[:columns]) for _, made in rows])
    images.save(images.grid(cells, columns=columns), path)
    return [who for who, _ in rows]
