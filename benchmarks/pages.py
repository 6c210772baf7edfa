"""Whether stained pages are told by their error, and stains by their heat.

For a model of tiles that was trained on pairs, such as ``configs/documents_denoise.yaml``. Both
halves of each held-out pair are held against the clean halves of the other held-out pairs: no page
takes part in drawing its own line. The heat of a stained page is held against where the two halves
differ: the area under the curve (AUROC) is the share of pairs of a stained and a clean pixel of
which the stained one is hotter.

Usage:
    python benchmarks/pages.py runs/documents_denoise --out documents_pages.json
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from anomaly import auroc
from command_line import parser_of
from denoise import Pair, pages
from torch import Tensor

import hiresvae
from hiresvae.cli_common import in_words
from hiresvae.data.tiles import page_of
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel
from hiresvae.metrics.results import bootstrap
from hiresvae.run import write_json
from hiresvae.uses.anomaly import check_quantile, threshold
from hiresvae.uses.anomaly_pages import page_errors, page_heat

GREYS = 16
"""Of 255, by which the halves of a pair differ where there is a stain; less is the scanner's."""


def held_out_pairs(painter: PictureModel) -> list[tuple[str, Pair]]:
    """Returns the names and both halves, clean and stained, of the held-out pages.

    Raises:
        UserError: the model was not trained on pairs in tiles, or fewer than two are held out.
    """
    settings = painter.settings
    pairs = settings.corruption is not None and settings.corruption.kind == "pairs"
    if not pairs or settings.data.crop != "tiles":
        raise UserError("pages need a model of pairs (corruption.kind) in tiles (data.crop)")
    data = painter.data()
    found = pages(painter, {page_of(data.names[i]) for i in data.held_out}, 0)
    if len(found) < 2:
        raise UserError(f"{len(found)} pairs are held out (data.held_out); at least 2 are needed")
    return found


def stains(clean: Tensor, stained: Tensor) -> Tensor:
    """Returns where the halves of a pair differ, bool ``(H, W)``."""
    return ((clean.int() - stained.int()).abs() > GREYS).any(0)


def judged(found: list[tuple[str, Pair]], painter: PictureModel, quantile: float) -> list[dict]:
    """Returns a row a pair: errors of its halves, the line from the others, the AUROC by pixel.

    That is None where the halves do not differ, or differ everywhere.
    """
    squares = [[page_errors(painter, half)[1] for half in pair] for _, pair in found]
    usual = torch.stack([clean.mean() for clean, _ in squares]).double()
    rows = []
    for i, (name, (clean, stained)) in enumerate(found):
        others = torch.cat([usual[:i], usual[i + 1 :]])
        line, where = threshold(others, quantile), stains(clean, stained)
        hot = page_heat(squares[i][1], float(others.mean()))
        inside, outside = (hot[part].double().numpy() for part in (where, ~where))
        errors = [float(half.mean()) for half in squares[i]]
        rows.append(
            {
                "page": name,
                "line": line,
                "error_clean": errors[0],
                "error_stained": errors[1],
                "clean_is_unusual": errors[0] > line,
                "stained_is_unusual": errors[1] > line,
                "share_of_pixels_stained": float(where.float().mean()),
                "auroc_by_pixel": auroc(outside, inside) if len(inside) and len(outside) else None,
            }
        )
    return rows


@in_words()
def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints and writes what became of the pages."""
    parser = parser_of(__doc__)
    parser.add_argument("run")
    parser.add_argument("--quantile", type=float, default=0.95, help="of clean pages, of the line")
    parser.add_argument("--out", type=Path, help="JSON")
    parser.add_argument("--device")
    asked = parser.parse_args(words)
    check_quantile(asked.quantile)
    painter = hiresvae.load(asked.run, device=asked.device)
    rows = judged(held_out_pairs(painter), painter, asked.quantile)
    stained, clean = (
        sum(row[f"{half}_is_unusual"] for row in rows) for half in ("stained", "clean")
    )
    print(f"{stained} of {len(rows)} stained pages and {clean} of {len(rows)} clean ones unusual")
    areas = np.array([one for row in rows if (one := row["auroc_by_pixel"]) is not None])
    report = {
        "pairs": len(rows),
        "quantile": asked.quantile,
        "stained_unusual": stained,
        "clean_unusual": clean,
        "greys_that_are_a_stain": GREYS,
    }
    if len(areas):
        middle, (low, high) = float(areas.mean()), bootstrap(lambda x: float(x.mean()), areas)
        report |= {"auroc_by_pixel": middle, "auroc_by_pixel_interval": [low, high]}
        print(f"stains by their heat: AUROC by pixel {middle:.3f} ({low:.3f} to {high:.3f})")
    if asked.out is not None:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(asked.out, {**report, "pages": rows})


if __name__ == "__main__":
    main()
