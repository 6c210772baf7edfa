"""How well a model tells pictures of its own kind from others, by each measure that it has.

Its held-out pictures against as many of others: those of another source (``--against``), or, for a
run that was trained without some labels (``data.without``), the pictures of these labels. The area
under the curve (AUROC) is the share of pairs of a strange and a usual picture of which the strange
one has the higher score: 1 is always, 0.5 is chance, below that it is the plain likelihood's known
failure.

Usage:
    python benchmarks/anomaly.py runs/fashion_mnist --against mnist --out anomaly.json
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from command_line import parser_of
from torch import Tensor

import hiresvae
from hiresvae import images
from hiresvae.cli_common import in_words
from hiresvae.data import open_data
from hiresvae.data.pictures import of_labels
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel
from hiresvae.run import write_json
from hiresvae.seeding import generator
from hiresvae.uses.anomaly import Scores, heat, overlay, scores, typical
from hiresvae.uses.reals import Reals
from hiresvae.uses.sheets import sheet

MEASURES = {
    "score": "bits less complexity",
    "typical": "typical, on either side",
    "bits": "bits alone",
    "complexity": "complexity alone",
    "error": "error of the reconstruction",
    "rate": "KL of all rungs",
}
SHOWN = 6
RESAMPLED = 500


def auroc(usual: np.ndarray, strange: np.ndarray) -> float:
    """Returns the share of pairs in which the strange score is higher, ties counting half.

    Example:
        >>> auroc(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
        0.875
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([strange, usual]))[: len(strange)].sum()
    return float((ranks / len(strange) - (len(strange) + 1) / 2) / len(usual))


def interval(usual: np.ndarray, strange: np.ndarray) -> list[float]:
    """Returns the 95% interval of the AUROC over redrawn pictures."""
    rng = np.random.default_rng(0)
    found = [
        auroc(rng.choice(usual, len(usual)), rng.choice(strange, len(strange)))
        for _ in range(RESAMPLED)
    ]
    return [float(value) for value in np.quantile(found, [0.025, 0.975])]


def measures(got: Scores) -> dict[str, np.ndarray]:
    """Returns the scores by name, each ``(N,)``; an autoencoder has fewer, a ladder more."""
    found = {name: getattr(got, name) for name in ("score", "bits", "complexity", "error")}
    found["rate"] = None if got.rates is None else got.rates.sum(1)
    if got.errors is not None:
        found |= {f"error_top_{k}": got.errors[:, k - 1] for k in range(1, got.errors.shape[1])}
    return {k: v.double().numpy() for k, v in found.items() if v is not None}


def in_full(measure: str) -> str:
    """Returns a measure's name in words.

    Example:
        >>> in_full("error_top_2")
        'error with the top 2 rungs'
    """
    rungs = measure.removeprefix("error_top_")
    return MEASURES[measure] if measure in MEASURES else f"error with the top {rungs} rungs"


def strangers(painter: PictureModel, against: str | None, most: int) -> tuple[str, Tensor]:
    """Returns what they are in words, and pictures of another kind, uint8 ``(N, C, S, S)``.

    Raises:
        UserError: nothing says which.
    """
    chosen = painter.settings.data
    if against is None:
        if not chosen.without:
            raise UserError(
                "nothing was left out (data.without is empty); nearest valid: --against mnist"
            )
        data = open_data(chosen.model_copy(update={"without": []}))
        inside = of_labels(data.labels, data.classes, chosen.without)
        rows = np.flatnonzero(inside)
        order = torch.randperm(len(rows), generator=generator(0, "strangers"))[:most]
        pictures = data.middles(rows[order.numpy()], painter.model.size)
        return f"{chosen.source} {', '.join(chosen.without)}", pictures
    channels = 1 if painter.model.channels == 1 else 3
    other = chosen.model_copy(
        update={"source": against, "labels": "none", "without": [], "channels": channels}
    )
    return against, Reals.of(open_data(other), painter.model.size, most).held_out


@in_words()
def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints and writes the areas."""
    parser = parser_of(__doc__)
    parser.add_argument("run")
    parser.add_argument("--against", help="source of other pictures, as data.source")
    parser.add_argument("--n", type=int, default=1000, help="most pictures of either kind")
    parser.add_argument("--draws", type=int, default=8, help="of the posterior, a picture")
    parser.add_argument("--out", type=Path, help="JSON")
    parser.add_argument("--sheet", type=Path, help="picture: some of both kinds and their heat")
    asked = parser.parse_args(words)
    painter = hiresvae.load(asked.run)
    own = Reals.of(painter.data(), painter.model.size, asked.n)
    if not own.has_held_out:
        raise UserError("nothing was held out (data.held_out), so nothing is usual")
    name, others = strangers(painter, asked.against, asked.n)
    got = [scores(painter, pictures, draws=asked.draws) for pictures in (own.held_out, others)]
    usual, strange = (measures(one) for one in got)
    # Of too few pictures nothing can be said of all figures together.
    with contextlib.suppress(UserError):
        strange["typical"], usual["typical"] = (x.numpy() for x in typical(got[1], got[0]))
    counts = {"usual": len(own.held_out), "strange": len(others), "against": name}
    rows = {}
    for key in usual:
        pair = usual[key], strange[key]
        rows[key] = {"auroc": auroc(*pair), "interval": interval(*pair)}
        low, high = rows[key]["interval"]
        print(f"{in_full(key):28} AUROC {rows[key]['auroc']:.3f} ({low:.3f} to {high:.3f})")
    if asked.out is not None:
        write_json(asked.out, {**counts, "draws": asked.draws, "auroc": rows})
    if asked.sheet is not None:
        images.save(drawn(painter, own.held_out, others, got), asked.sheet)


def drawn(painter: PictureModel, usual: Tensor, strange: Tensor, got: list[Scores]) -> Tensor:
    """Returns a sheet: picture, the model's own of it, and heat, of some of either kind."""
    rows = []
    for pictures, found in zip((usual, strange), got, strict=True):
        shown = pictures[:SHOWN]
        heats = heat(found.squares[:SHOWN], got[0].squares)
        again = painter.reconstruct(shown)
        rows += [
            [*shown],
            [*again],
            [overlay(p, h) for p, h in zip(shown, heats, strict=True)],
        ]
    return sheet(rows, names=["usual", "model", "unusual", "strange", "model", "unusual"])


if __name__ == "__main__":
    main()
