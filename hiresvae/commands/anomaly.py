"""``hiresvae anomaly``: how unlike the training data pictures are, as a table and as heat maps."""

import csv
import io
from pathlib import Path

import torch

from hiresvae import images
from hiresvae.commands.reconstruct import distinct
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel, load
from hiresvae.run import explained, write_whole
from hiresvae.uses.anomaly import heat, overlay, scores, threshold
from hiresvae.uses.codes import read
from hiresvae.uses.sheets import sheet

USUAL = 500
"""Held-out pictures that say what is usual."""
KINDS = ("score", "bits", "error")
HEADER = (
    "file", "unusual", "share_of_usual_below", "score_bits", "elbo_bits", "complexity_bits",
    "mean_squared_error", "largest_heat",
)  # fmt: skip


def run(
    *,
    model: str,
    paths: list[Path],
    out: Path,
    heatmaps: Path | None = None,
    reference: Path | None = None,
    quantile: float = 0.95,
    by: str = "score",
    draws: int = 8,
    seed: int = 0,
    device: str | None = None,
) -> Path:
    """Writes a CSV file with a row a picture, most unusual first, and returns its path.

    Args:
        model: run folder or model folder.
        paths: pictures, folders and archives of pictures.
        out: CSV file.
        heatmaps: folder that gets ``NAME_heat.png``: picture, reconstruction, heat.
        reference: folder of usual pictures; None: those held out in training.
        quantile: share of usual pictures that stay below the threshold.
        by: score (bits less complexity), bits, or error; what is held against the threshold.
        draws: of the posterior for each picture.
        seed: of the draws.
        device: None takes what there is.
    """
    if by not in KINDS:
        raise UserError(f"--by {by!r} must be one of {', '.join(KINDS)}")
    painter = load(model, device=device)
    found = [read(painter, path) for path in paths]
    pictures = torch.cat([part.pictures for part in found])
    names = [name for part in found for name in part.names]
    skipped = [entry for part in found for entry in part.skipped]
    if not names:
        raise UserError(f"no pictures in {', '.join(map(str, paths))}")
    common = _usual(painter, reference)
    if not len(common):
        raise UserError("no pictures are held out to set a threshold by: give --reference FOLDER")
    usual = scores(painter, common, draws=draws, seed=seed)
    line = threshold(getattr(usual, by), quantile)
    got = scores(painter, pictures, draws=draws, seed=seed)
    chosen: torch.Tensor = getattr(got, by)
    below = (getattr(usual, by)[None] < chosen[:, None]).double().mean(1)
    heats = heat(got.squares, usual.squares)
    rungs = got.rates.shape[1]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([*HEADER, *(f"rate_{i}_nats" for i in range(rungs))])
    order = chosen.argsort(descending=True).tolist()
    for i in order:
        figures = [got.score[i], got.bits[i], got.complexity[i]]
        writer.writerow(
            [names[i], "yes" if chosen[i] > line else "no", f"{below[i]:.4f}"]
            + [f"{figure:.1f}" for figure in figures]
            + [f"{got.error[i]:.6f}", f"{heats[i].max():.2f}"]
            + [f"{rate:.3f}" for rate in got.rates[i]]
        )
    with explained("writing scores", out):
        out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, table.getvalue())
    if heatmaps is not None:
        _heatmaps(painter, pictures, names, heats, heatmaps)
    count = int((chosen > line).sum())
    words = f"{count} of {len(names)} pictures unusual ({by} above {line:.4g}"
    print(f"{words}, the {quantile:g} quantile of {len(usual.bits)} usual ones); scores in {out}")
    for name, reason in skipped:
        print(f"skipped {name}: {reason}")
    return out


def _usual(painter: PictureModel, reference: Path | None) -> torch.Tensor:
    if reference is not None:
        return read(painter, reference).pictures[:USUAL]
    from hiresvae.uses.reals import Reals

    real = Reals.of(painter.data(), painter.model.size)
    return real.held_out[:USUAL] if real.has_held_out else real.held_out[:0]


def _heatmaps(
    painter: PictureModel,
    pictures: torch.Tensor,
    names: list[str],
    heats: torch.Tensor,
    folder: Path,
) -> None:
    remade = painter.reconstruct(pictures)
    with explained("writing heat maps", folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture, again, one in zip(distinct(names), pictures, remade, heats, strict=True):
            row = [picture, again, overlay(picture, one)]
            made = sheet([row], headings=["picture", "model", "unusual"])
            images.save(made, folder / f"{Path(name).stem}_heat.png")
