"""What a model costs as pictures grow: parameters, memory and seconds a picture, as a table.

The ladder against a VAE that flattens its features into one dense layer, the way of the textbooks:
there the parameters grow with the number of pixels. What would not fit into --memory is told by its
parameters alone.

Usage:
    python benchmarks/scaling.py --sizes 64 128 256 512 1024 --out benchmarks/results/scaling.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from hiresvae.checks import check
from hiresvae.models.vae import VAE
from hiresvae.settings import Settings
from hiresvae.training.footprint import footprint

KINDS: dict[str, dict[str, Any]] = {
    "ladder": {"model": {"pyramid": "1x1 4x2 8x2 16x2 32x1 ..."}},
    "ladder, checkpointed": {
        "model": {"pyramid": "1x1 4x2 8x2 16x2 32x1 ..."},
        "training": {"gradient_checkpointing": True},
    },
    "dense latent": {"model": {"backbone": "classic"}},
}
STATES = 5 * 4
"""Bytes a parameter: weight, gradient, two moments and the average, in single precision."""


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512, 1024])
    parser.add_argument("--memory", type=float, default=12, help="GiB that may be used")
    parser.add_argument("--batch", type=int, default=16, help="pictures in the memory's column")
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    arguments = parser.parse_args()
    print(f"{'model':22s} {'side':>5s} {'parameters':>14s} {'GiB of':>8s} {'seconds':>8s}")
    print(f"{'':22s} {'':>5s} {'':>14s} {f'{arguments.batch} pict.':>8s} {'a pict.':>8s}")
    rows = []
    for kind, sections in KINDS.items():
        each = 0.0
        for side in sorted(arguments.sizes):
            # Four times the pixels are four times the memory of the last.
            row = measure(kind, sections, side, arguments.batch, arguments.memory, 4 * each)
            each = row.pop("bytes_a_picture") or 4 * each
            rows.append(row)
            memory, seconds = (
                "-" if row[name] is None else f"{row[name]:.2f}"
                for name in ("memory_gib", "seconds_a_picture")
            )
            print(f"{kind:22s} {side:5d} {row['parameters']:14,d} {memory:>8s} {seconds:>8s}")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        found = {"threads": torch.get_num_threads(), "batch": arguments.batch, "rows": rows}
        arguments.out.write_text(json.dumps(found, indent=2) + "\n")


def measure(
    kind: str, sections: dict[str, Any], side: int, batch: int, most: float, expected: float
) -> dict[str, Any]:
    """Returns a row of the table; memory and seconds are None where the step does not fit.

    Args:
        kind: its name.
        sections: of settings.
        side: of the pictures.
        batch: pictures for which memory is told.
        most: GiB that the two small steps may use.
        expected: bytes a picture, by which it is decided beforehand.
    """
    settings = Settings.model_validate({"data": {"size": side}, **sections})
    check(settings)
    with torch.device("meta"):  # counted, not made
        model = VAE(settings.model, size=side, channels=3)
    parameters = sum(p.numel() for p in model.parameters())
    row: dict[str, Any] = {"model": kind, "side": side, "parameters": parameters}
    row |= {"memory_gib": None, "seconds_a_picture": None, "bytes_a_picture": None}
    if STATES * parameters + 2 * expected > most * 2**30:
        return row
    cost = footprint(settings, 3, 0, counts=(1, 2))
    return row | {
        "memory_gib": round(cost.memory(batch) / 2**30, 3),
        "seconds_a_picture": round(cost.seconds, 4),
        "bytes_a_picture": cost.each,
    }


if __name__ == "__main__":
    main()
