"""What a model costs as pictures grow: parameters, memory and seconds a picture, as a table.

The ladder against a VAE that flattens its features into one dense layer, the way of the textbooks:
there the parameters grow with the number of pixels. What would not fit into --memory is told by its
parameters alone.

Memory is that of --batch pictures, reckoned from small steps. Seconds are those of training steps
on as many pictures as have the pixels of one of 1024 px, at most 16: medians over rounds, in each
of which every side has its turn, with memory held as in a training on a CPU.

Usage:
    python benchmarks/scaling.py --sizes 64 128 256 512 1024 --out benchmarks/results/scaling.json
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from fast_path import in_turn

from hiresvae.checks import check
from hiresvae.held_memory import hold_memory
from hiresvae.models.vae import VAE
from hiresvae.settings import Settings
from hiresvae.training.footprint import SmallStep, footprint

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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    arguments = parser.parse_args()
    print(f"{'model':22s} {'side':>5s} {'parameters':>14s} {'GiB of':>8s} {'seconds':>8s} "
          f"{'of first,':>10s}")  # fmt: skip
    print(f"{'':22s} {'':>5s} {'':>14s} {f'{arguments.batch} pict.':>8s} {'a pict.':>8s} "
          f"{'a pixel':>10s}")  # fmt: skip
    rows = []
    for kind, sections in KINDS.items():
        each, found = 0.0, []
        for side in sorted(arguments.sizes):
            # Four times the pixels are four times the memory of the last.
            row = measure(kind, sections, side, arguments.batch, arguments.memory, 4 * each)
            each = row.pop("bytes_a_picture") or 4 * each
            found.append(row)
        told = [row["side"] for row in found if row["memory_gib"] is not None]
        for row, times in zip(found, seconds(sections, told, arguments.rounds), strict=False):
            row["seconds_a_picture"] = times
        rows += found
        show(found)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        told_of = {"threads": torch.get_num_threads(), "batch": arguments.batch}
        told_of |= {"rounds": arguments.rounds, "memory_held": hold_memory()}
        told_of |= {"torch": torch.__version__}
        arguments.out.write_text(json.dumps(told_of | {"rows": rows}, indent=2) + "\n")


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Prints rows of one model, by side; the last column is the first's times so much a pixel."""
    for row in rows:
        first, own = (
            None
            if one["seconds_a_picture"] is None
            else one["seconds_a_picture"] / one["side"] ** 2
            for one in (rows[0], row)
        )
        ratio = "-" if first is None or own is None else f"{own / first:.2f}"
        memory, taken = (
            "-" if row[name] is None else f"{row[name]:.3f}"
            for name in ("memory_gib", "seconds_a_picture")
        )
        print(f"{row['model']:22s} {row['side']:5d} {row['parameters']:14,d} {memory:>8s} "
              f"{taken:>8s} {ratio:>10s}", flush=True)  # fmt: skip


def seconds(sections: dict[str, Any], sides: Sequence[int], rounds: int) -> list[float]:
    """Returns seconds a picture of a training step, by side; all sides take turns.

    Args:
        sections: of settings.
        sides: of the pictures, the smallest first.
        rounds: of turns.
    """
    counts = {side: min(16, max(1, (1024 // side) ** 2)) for side in sides}
    calls = {}
    for side, count in counts.items():
        settings = Settings.model_validate({"data": {"size": side}, **sections})
        calls[str(side)] = partial(SmallStep(settings, 3, 0, count), penalty=False)
        calls[str(side)]()  # before memory is held, whose need it shows
    hold_memory()
    found = in_turn(calls, rounds, "cpu")
    return [statistics.median(found[str(side)]) / count for side, count in counts.items()]


def measure(
    kind: str, sections: dict[str, Any], side: int, batch: int, most: float, expected: float
) -> dict[str, Any]:
    """Returns a row of the table without seconds; memory is None where the step does not fit.

    Args:
        kind: its name.
        sections: of settings.
        side: of the pictures.
        batch: pictures for which memory is told.
        most: GiB that the small steps may use.
        expected: bytes a picture, by which it is decided beforehand.
    """
    settings = Settings.model_validate({"data": {"size": side}, **sections})
    check(settings)
    with torch.device("meta"):  # counted, not made
        model = VAE(settings.model, size=side, channels=3)
    parameters = sum(p.numel() for p in model.parameters())
    row: dict[str, Any] = {"model": kind, "side": side, "parameters": parameters}
    row |= {"memory_gib": None, "seconds_a_picture": None, "bytes_a_picture": None}
    if STATES * parameters + 4 * expected > most * 2**30:
        return row
    cost = footprint(settings, 3, 0)
    return row | {
        "memory_gib": round(cost.memory(batch) / 2**30, 3),
        "bytes_a_picture": cost.each,
    }


if __name__ == "__main__":
    main()
