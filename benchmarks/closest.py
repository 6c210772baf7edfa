"""The samples of a run that lie nearest to a training picture, beside it: are there copies?

Distances are in pixels at 16 px, in grey levels, and told beside those of held-out pictures, which
are no copies: as quantiles of both. The picture has samples above, their nearest training pictures
below.

Usage:
    python benchmarks/closest.py runs/monet --samples 500 --sheet closest.png
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from command_line import parser_of

import hiresvae
from hiresvae.cli_common import in_words
from hiresvae.data import open_data
from hiresvae.errors import UserError
from hiresvae.images import grid, save
from hiresvae.run import write_json
from hiresvae.uses.compare import nearest

SHOWN = 10
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75)


@in_words()
def main(words: Sequence[str] | None = None) -> None:
    """Draws, compares, prints and writes the pairs."""
    parser = parser_of(__doc__)
    parser.add_argument("run")
    parser.add_argument("--samples", type=int, default=500, help="drawn")
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    parser.add_argument("--sheet", type=Path, required=True, help="picture of the closest pairs")
    parser.add_argument("--out", type=Path, help="JSON of the quantiles")
    asked = parser.parse_args(words)
    if asked.samples < SHOWN:
        raise UserError(f"--samples {asked.samples} is fewer than the {SHOWN} pairs to be shown")
    model = hiresvae.load(asked.run)
    data, size = open_data(model.settings.data), model.model.size
    if not len(data.held_out):
        raise UserError("nothing is held out to compare with: train with data.held_out above 0")
    made = model.sample(asked.samples, seed=asked.seed)
    found = nearest(made, data, size)
    unseen = nearest(data.middles(data.held_out, size), data, size)
    closest = np.argsort(found.distance)[:SHOWN]
    save(grid(torch.cat([made[closest], found.pictures[closest]]), columns=SHOWN), asked.sheet)
    told = {}
    for share in QUANTILES:
        pair = (float(np.quantile(one.distance, share)) for one in (found, unseen))
        told[f"{share:.0%}"] = dict(zip(("samples", "held_out"), pair, strict=True))
        ours, theirs = told[f"{share:.0%}"].values()
        print(f"nearest {share:4.0%}: samples {ours:5.1f}, held-out {theirs:5.1f} grey levels")
    print(f"the {SHOWN} closest pairs: {asked.sheet}")
    if asked.out is not None:
        counts = {"samples": asked.samples, "held_out": len(data.held_out)}
        write_json(asked.out, {"counts": counts, "quantiles": told})


if __name__ == "__main__":
    main()
