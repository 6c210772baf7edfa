"""The gap between a model's reconstructions and its samples, and what narrows it when it draws.

One run, nothing trained: its reconstructions of training pictures, samples of N(0, I), samples of
the prior that was fitted to the latents, and the same drawn nearer the prior's middle: by a lower
temperature of all rungs, or by truncation of the top latents. Nearer the middle pictures look more
like some real one (precision) and fewer real ones are like any of them (recall); the distances tell
whether that pays. Reconstructions are held against the pictures that they are of; these are fewer
than all, which makes their Fréchet distance larger, and the kernel distance not.

Usage:
    python benchmarks/gap.py runs/monet_cvaegan --out gap.json

Prints a table, and writes all figures as JSON.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asked import refuse_unmeasurable
from command_line import parser_of
from torch import Tensor

import hiresvae
from hiresvae.cli_common import in_words
from hiresvae.generator import PictureModel
from hiresvae.metrics.features import load_network
from hiresvae.run import explained, write_json
from hiresvae.uses.feature_figures import (
    covering,
    covering_floor,
    distances,
    floor,
    network_words,
)
from hiresvae.uses.figures import texture
from hiresvae.uses.groups import features_of, real_features
from hiresvae.uses.reals import MOST_REALS, Reals

NEARER = (0.9, 0.8, 0.7)
FITTED = "fitted prior"
DRAWS: dict[str, dict[str, Any]] = {
    "standard prior": {"prior": "standard"},
    FITTED: {},
    **{f"temperature {near:g}": {"temperature": near} for near in NEARER},
    **{f"truncation {near:g}": {"truncation": near} for near in NEARER},
}
"""Ways of drawing samples, as `hiresvae.generator.PictureModel.sample` takes them."""
REMADE, REAL = "reconstructions", "real"
DISTANCES = ("gkid", "gfid", "gkernel", "gfrechet", "rkid", "rfid", "rkernel", "rfrechet")
COLUMNS = (*DISTANCES, "precision", "recall", "sharpness_ratio")


def pictures_of(model: PictureModel, real: Tensor, asked: int, seed: int) -> dict[str, Tensor]:
    """Returns uint8 pictures ``(N, C, H, W)`` by the way in which they were made.

    Args:
        model: that makes them.
        real: training pictures, of which the first are reconstructed.
        asked: how many of each.
        seed: of the samples.
    """
    made = {REMADE: model.reconstruct(real[:asked])}
    return made | {name: model.sample(asked, seed=seed, **way) for name, way in DRAWS.items()}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Returns a Markdown table: a row a way of making pictures.

    Args:
        rows: figures by name, by way.
    """
    names = [name for name in COLUMNS if any(name in row for row in rows.values())]
    lines = [["", *names], ["---"] * (len(names) + 1)]
    lines += [
        [way, *(f"{row[name]['value']:.3g}" if name in row else "" for name in names)]
        for way, row in rows.items()
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@in_words()
def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints and writes the figures."""
    parser = parser_of(__doc__)
    parser.add_argument("run")
    parser.add_argument("--samples", type=int, default=1000, help="of each way")
    parser.add_argument("--features", default="auto", help="auto, or a TorchScript file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True, help="JSON")
    asked = parser.parse_args(words)
    refuse_unmeasurable(asked.samples, asked.features, "texture,distance,coverage")
    model = hiresvae.load(asked.run, device=asked.device)
    network = load_network(asked.features, asked.device)
    reals = Reals.of(model.data(), model.settings.data.size, MOST_REALS)
    real = real_features(reals.train, network)
    rows = {}
    for way, made in pictures_of(model, reals.train, asked.samples, asked.seed).items():
        features = features_of(made, network)
        counts = {"made": len(made), "real": len(real)}
        # Beside the very pictures that they are of, where they are reconstructions.
        beside, paired = (real[: len(made)], True) if way == REMADE else (real, False)
        kind = "r{}" if way == REMADE else f"g{{}}_{way.replace(' ', '_')}"
        found = [
            *distances(kind, features, beside, network, counts, paired=paired),
            *covering("", features, beside, network, counts, asked.seed),
            *texture("", made, reals.held_out, counts, asked.seed),
        ]
        # The way is told once, by the row.
        short = kind.partition("_")[0]
        names = [
            *map(short.format, network_words(network)),
            *(f.name.rstrip("_") for f in found[2:]),
        ]
        rows[way] = {name: f.to_json() for name, f in zip(names, found, strict=True)}
        print(f"{way} measured", flush=True)
    halves, covered = (
        [f.to_json() for f in found(real, network, asked.seed)] for found in (floor, covering_floor)
    )
    rows[REAL] = {f["name"].replace("floor_", "g"): f for f in halves}
    rows[REAL] |= {f["name"].removeprefix("floor_"): f for f in covered}
    variants = {way: {"figures": row} for way, row in rows.items()}
    report = {"run": asked.run, "seed": asked.seed, "variants": variants}
    with explained("writing the results", asked.out):
        write_json(asked.out, report)
    print(table(rows), end="")


if __name__ == "__main__":
    sys.exit(main())
