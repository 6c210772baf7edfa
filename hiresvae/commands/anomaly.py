"""``hiresvae anomaly``: how unlike the training data pictures are, as a table and as heat maps."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import torch

from hiresvae import images
from hiresvae.commands.reconstruct import distinct, tell
from hiresvae.commands.restore import files_in, whole_picture
from hiresvae.data.decode import UnreadableError
from hiresvae.data.reading import reason
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel, load
from hiresvae.run import explained, write_whole
from hiresvae.uses.anomaly import (
    Scores,
    check_quantile,
    heat,
    overlay,
    scores,
    threshold,
    typical,
)
from hiresvae.uses.anomaly_pages import held_out_pages, page_errors, page_heat
from hiresvae.uses.codes import read
from hiresvae.uses.sheets import sheet

USUAL = 500
"""Held-out pictures that say what is usual."""
USUAL_PAGES = 50
"""The same of models of tiles, whose pictures are large."""
KINDS = ("score", "typical", "bits", "error")
TOP = "error_top_"
"""Before the number of rungs that are kept, in --by and in the table."""
NONE_USUAL = "no pictures are held out to set a threshold by: give --reference FOLDER"


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

    Columns: file, unusual, share_of_usual_below, score_bits, iwae_K_bits (K draws),
    complexity_bits, mean_squared_error, largest_heat, and rate_L_nats of each rung; of a ladder
    error_top_K too, the mean squared error with its top K rungs alone; without those of a
    likelihood (score_bits, iwae_K_bits, rate_L_nats, error_top_K) of an autoencoder, which has
    none; typical where that is asked for.

    Args:
        model: run folder or model folder.
        paths: pictures, folders and archives of pictures.
        out: CSV file.
        heatmaps: folder that gets ``NAME_heat.png``: picture, reconstruction, heat.
        reference: folder of usual pictures; None: those held out in training.
        quantile: share of usual pictures that stay below the threshold.
        by: score (bits less complexity), typical (distance of all figures from those of usual
            pictures, on either side), bits, error, or of a ladder error_top_K; what is held against
            the threshold.
        draws: of the posterior for each picture.
        seed: of the draws.
        device: None takes what there is.

    Raises:
        UserError: no pictures, no usual ones, or a likelihood is asked for that there is not.
    """
    if by not in KINDS and not by.removeprefix(TOP).isdecimal():
        raise UserError(f"--by {by!r} must be one of {', '.join(KINDS)}, or {TOP}1 of a ladder")
    check_quantile(quantile)
    painter = load(model, device=device)
    if by not in ("error", "typical") and not painter.settings.model.stochastic:
        raise UserError(
            f"--by {by!r} needs a likelihood, which this model has not: it is an autoencoder "
            "(model.stochastic is false); take --by error"
        )
    rungs = len(painter.model.latent_shapes)
    if by not in KINDS and not 1 <= int(by.removeprefix(TOP)) < rungs:
        near = min(max(int(by.removeprefix(TOP)), 1), rungs - 1)
        raise UserError(
            f"--by {by!r}: this model has {rungs} rung{'s' if rungs > 1 else ''}; nearest valid: "
            f"{f'{TOP}{near}' if near else 'error'}"
        )
    if painter.settings.data.crop == "tiles":
        return _run_pages(painter, paths, out, heatmaps, reference, quantile, by, seed)
    found = [read(painter, path) for path in paths]
    pictures = torch.cat([part.pictures for part in found])
    names = [name for part in found for name in part.names]
    skipped = [entry for part in found for entry in part.skipped]
    if not names:
        raise UserError(f"no pictures in {', '.join(map(str, paths))}{reason(skipped)}")
    tell(skipped)
    common = _usual(painter, reference)
    usual = scores(painter, common, draws=draws, seed=seed)
    got = scores(painter, pictures, draws=draws, seed=seed)
    heats = heat(got.squares, usual.squares)
    figures = {
        **_figures(got, draws),
        "largest_heat": [f"{one.max():.2f}" for one in heats],
        **_rates(got),
        **_tops(got),
    }
    if by == "typical":
        chosen, known = typical(got, usual)
        figures["typical"] = [f"{distance:.3f}" for distance in chosen]
    else:
        chosen, known = _chosen(got, by), _chosen(usual, by)
    _report(out, by, quantile, names, chosen, known, figures)
    if heatmaps is not None:
        _heatmaps(painter, pictures, names, heats, heatmaps)
    return out


def _run_pages(
    painter: PictureModel,
    paths: list[Path],
    out: Path,
    heatmaps: Path | None,
    reference: Path | None,
    quantile: float,
    by: str,
    seed: int,
) -> Path:
    """Does the same for a model of tiles, at the pictures' own scale; see `run`.

    A page that is usual itself, such as one held out, is held against the others: a line that it
    took part in drawing would say little.

    Columns: file, unusual, share_of_usual_below, mean_squared_error, largest_heat.
    """
    if by != "error":
        raise UserError(
            f"--by {by!r}, but this model was trained on tiles (data.crop) and whole pictures are "
            "judged by their error; nearest valid: --by error"
        )
    common = _usual_pages(painter, reference)
    squares = [page_errors(painter, page, seed)[1] for page in common]
    level = float(torch.cat([one.flatten() for one in squares]).mean())
    names, errors, hottest, itself = [], [], [], []
    skipped: list[tuple[str, str]] = []
    for name, page in _pages(painter, paths, skipped):
        again, wrong = page_errors(painter, page, seed)
        heated = page_heat(wrong, level)
        names.append(name)
        errors.append(wrong.mean())
        itself.append([torch.equal(page, one) for one in common])
        hottest.append(f"{heated.max():.2f}")
        if heatmaps is not None:
            # Where the paper itself is grey all is hot: what stands out of the page is shown.
            above = overlay(page, heated / heated.median().clamp_min(1))
            _save_heat(heatmaps, name, torch.cat([_coloured(page), _coloured(again), above], 2))
    if not names:
        raise UserError(f"no pictures in {', '.join(map(str, paths))}{reason(skipped)}")
    figures = {"mean_squared_error": [f"{error:.6f}" for error in errors], "largest_heat": hottest}
    usual = torch.stack([one.mean() for one in squares])
    if any(all(row) for row in itself):
        raise UserError(
            "a page is its own and only measure of what is usual: give --reference FOLDER with "
            "others beside it"
        )
    itself_of = torch.tensor(itself)
    _report(out, by, quantile, names, torch.stack(errors), usual, figures, itself_of)
    return out


def _report(
    out: Path,
    by: str,
    quantile: float,
    names: list[str],
    chosen: torch.Tensor,
    usual: torch.Tensor,
    figures: dict[str, list[str]],
    itself: torch.Tensor | None = None,
) -> None:
    """Writes the table of scores ``(N,)`` against usual ones ``(M,)``, and says what came of it.

    Where ``itself`` ``(N, M)`` says that a picture is one of the usual ones, it is left out of what
    it is held against.
    """
    line = threshold(usual, quantile)
    lines = torch.full(chosen.shape, line, dtype=torch.float64)
    below = (usual[None] < chosen[:, None]).double().mean(1)
    for i, row in enumerate([] if itself is None else itself):
        if row.any():
            lines[i] = threshold(usual[~row], quantile)
            below[i] = (usual[~row] < chosen[i]).double().mean()
    unusual = chosen > lines
    columns = {
        "file": names,
        "unusual": ["yes" if found else "no" for found in unusual],
        "share_of_usual_below": [f"{share:.4f}" for share in below],
        **figures,
    }
    with explained("writing scores", out):
        out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, _table(columns, chosen.argsort(descending=True).tolist()))
    words = f"{int(unusual.sum())} of {len(names)} pictures unusual ({by} above {line:.4g}"
    print(f"{words}, the {quantile:g} quantile of {len(usual)} usual ones); scores in {out}")


def _pages(
    painter: PictureModel,
    paths: list[Path],
    skipped: list[tuple[str, str]],
    most: int | None = None,
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yields pictures at their own size, uint8 ``(C, H, W)``, by distinct names.

    What cannot be used is told, and put into ``skipped`` by name and reason.
    """
    files = files_in(paths)[:most]
    for name, file in zip(distinct([path.name for path in files]), files, strict=True):
        try:
            yield name, whole_picture(painter, file)
        except (UnreadableError, OSError) as error:
            skipped.append((str(file), str(error)))
            tell(skipped[-1:])


def _figures(got: Scores, draws: int) -> dict[str, list[str]]:
    """Returns the columns of figures, ready to be written."""
    found = {"score_bits": got.score, f"iwae_{draws}_bits": got.bits}
    found["complexity_bits"] = got.complexity
    columns = {
        name: [f"{bits:.1f}" for bits in values]
        for name, values in found.items()
        if values is not None
    }
    return columns | {"mean_squared_error": [f"{error:.6f}" for error in got.error]}


def _rates(got: Scores) -> dict[str, list[str]]:
    """Returns a column a rung; none of an autoencoder."""
    if got.rates is None:
        return {}
    return {
        f"rate_{i}_nats": [f"{rate:.3f}" for rate in rates] for i, rates in enumerate(got.rates.T)
    }


def _tops(got: Scores) -> dict[str, list[str]]:
    """Returns a column for each number of top rungs kept, but all; none of a single rung."""
    if got.errors is None:
        return {}
    columns = got.errors.T[:-1]
    return {f"{TOP}{k}": [f"{error:.6f}" for error in one] for k, one in enumerate(columns, 1)}


def _chosen(got: Scores, by: str) -> torch.Tensor:
    if by in KINDS:
        return getattr(got, by)
    assert got.errors is not None
    return got.errors[:, int(by.removeprefix(TOP)) - 1]


def _table(columns: dict[str, list[str]], order: list[int]) -> str:
    """Returns columns as CSV, the rows in an order."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([values[i] for values in columns.values()] for i in order)
    return table.getvalue()


def _usual(painter: PictureModel, reference: Path | None) -> torch.Tensor:
    """Returns pictures that say what is usual, uint8 ``(N, C, S, S)``.

    Raises:
        UserError: there are none.
    """
    if reference is not None:
        found = read(painter, reference)
        if not found.names:
            raise _none_in(reference, found.skipped)
        tell(found.skipped)
        return found.pictures[:USUAL]
    from hiresvae.uses.reals import Reals

    real = Reals.of(painter.data(), painter.model.size)
    if not real.has_held_out or not len(real.held_out):
        raise UserError(NONE_USUAL)
    return real.held_out[:USUAL]


def _usual_pages(painter: PictureModel, reference: Path | None) -> list[torch.Tensor]:
    """Does the same for pages, each uint8 ``(C, H, W)``."""
    if reference is None:
        held_out = list(held_out_pages(painter, USUAL_PAGES))
        if not held_out:
            raise UserError(NONE_USUAL)
        return held_out
    skipped: list[tuple[str, str]] = []
    found = [page for _, page in _pages(painter, [reference], skipped, USUAL_PAGES)]
    if not found:
        raise _none_in(reference, skipped)
    return found


def _none_in(reference: Path, skipped: list[tuple[str, str]]) -> UserError:
    return UserError(
        f"--reference {reference} has no picture that can be used{reason(skipped)}; give a folder "
        "of usual pictures, or leave it for those held out in training"
    )


def _heatmaps(
    painter: PictureModel,
    pictures: torch.Tensor,
    names: list[str],
    heats: torch.Tensor,
    folder: Path,
) -> None:
    remade = painter.reconstruct(pictures)
    for name, picture, again, one in zip(distinct(names), pictures, remade, heats, strict=True):
        row = [picture, again, overlay(picture, one)]
        _save_heat(folder, name, sheet([row], headings=["picture", "model", "unusual"]))


def _save_heat(folder: Path, name: str, made: torch.Tensor) -> None:
    with explained("writing heat maps", folder):
        folder.mkdir(parents=True, exist_ok=True)
        images.save(made, folder / f"{Path(name).stem}_heat.png")


def _coloured(picture: torch.Tensor) -> torch.Tensor:
    return picture.expand(3, -1, -1)
