"""Whether time and memory of a training depend on how many pictures there are.

A thousand small pictures, and the same under more names by hard links, so that the disk holds no
more of them. The same steps on each number of pictures in turn, some rounds, each in a process of
its own. The networks are quick, so that what reading pictures costs is not hidden by arithmetic.

Seconds an image are those between two ticks. What is done once for so many pictures is told apart:
decoding them into the store, and opening the store that is there. Memory is the process's own at
its worst moment, and what of it are pictures: none, unless they are to be held; a CPU reads them
as they are needed.

Usage:
    python benchmarks/pictures.py
    python benchmarks/pictures.py --counts 1000 10000 --rounds 5 --set data.device_cache=true
"""

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command_line import parser_of
from trainings import ended, speed, start, timed

from hiresvae.cli_common import in_words
from hiresvae.configuration import dump_settings, load_settings
from hiresvae.data import open_data
from hiresvae.devices import usable_cores
from hiresvae.images import save
from hiresvae.run import write_json
from hiresvae.settings import Settings

COUNTS = [1_000, 10_000, 100_000]
DRAWN = 1_000
"""Files that are drawn; all others are links to these."""
QUICK = """
model: {width: 8, max_width: 32, latent_dim: 32}
training: {batch_size: 16}
"""
SKIPPED = 2
"""First ticks that do not count."""


@in_words()
def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    parser = parser_of(__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="pictures")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=32, help="between two ticks")
    parser.add_argument("--ticks", type=int, default=10)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--folder", type=Path, help="for pictures, stores and runs; else removed")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/pictures.json"))
    chosen = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        place = chosen.folder or Path(temporary)
        rows = [_prepared(place, count, chosen) for count in sorted(chosen.counts)]
        for _ in range(chosen.rounds):
            for row in rows:
                _train(place, row, chosen)
    for row in rows:
        _finish(row, rows[0])
    facts = {name: getattr(chosen, name) for name in ("side", "rounds", "steps", "ticks")}
    facts |= {"threads": chosen.threads, "set": chosen.set, "quick": QUICK.split("\n")}
    write_json(chosen.out, facts | {"rows": rows})
    print(table(rows))


def linked(place: Path, count: int, side: int) -> Path:
    """Returns a folder of so many PNG files: some, under many names.

    Args:
        place: folder of such folders.
        count: of names.
        side: of the pictures.
    """
    folder, number = place / f"pictures_{count}", min(count, DRAWN)
    if folder.is_dir():
        return folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(number):
        coarse = torch.from_numpy(rng.integers(0, 256, (1, 3, 8, 8), dtype=np.uint8)).float()
        smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
        save(smooth[0].round().to(torch.uint8), folder / f"{i:07}.png")
    for i in range(number, count):
        os.link(folder / f"{i % number:07}.png", folder / f"{i:07}.png")
    return folder


def _prepared(place: Path, count: int, chosen: Any) -> dict[str, Any]:
    """Makes pictures, settings and store; returns the row, with what each took once."""
    settings = _settings(place, count, chosen)
    (place / f"{count}.yaml").write_text(dump_settings(settings), encoding="utf-8")
    row: dict[str, Any] = {"pictures": count}
    for name in ("building", "opening"):
        begun = time.perf_counter()
        data = open_data(settings.data, progress=False)
        row[f"{name}_seconds"] = round(time.perf_counter() - begun, 4)
    row["building_seconds_a_picture"] = row["building_seconds"] / count
    size, held = data.pictures.nbytes, settings.data.device_cache is True
    return row | {"stored_bytes": size, "held_bytes": size * held, "speeds": [], "peaks": []}


def _settings(place: Path, count: int, chosen: Any) -> Settings:
    quick = place / "quick.yaml"
    quick.parent.mkdir(parents=True, exist_ok=True)
    quick.write_text(QUICK, encoding="utf-8")
    own = [f"data.source={linked(place, count, chosen.side)}", f"data.size={chosen.side}"]
    own.append(f"data.cache={place / 'cache'}")
    return timed(load_settings(quick, [*own, *chosen.set]), chosen.steps, chosen.ticks)


def _train(place: Path, row: dict[str, Any], chosen: Any) -> None:
    run = place / f"run_{row['pictures']}"
    row["peaks"].append(ended(start(place / f"{row['pictures']}.yaml", run, chosen.threads)))
    row["speeds"].append(speed(run, SKIPPED))


def _finish(row: dict[str, Any], least: dict[str, Any]) -> None:
    """Adds the figures of all rounds, and their ratios to those of the fewest pictures."""
    row["seconds_an_image"] = statistics.median(1 / x for x in row["speeds"])
    # By rounds: what else the machine does is nearly the same for both.
    ratios = [a / b for a, b in zip(least["speeds"], row["speeds"], strict=True)]
    row["time_ratio"] = statistics.median(ratios)
    row["time_ratio_range"] = [min(ratios), max(ratios)]
    row["peak_bytes"] = max(row["peaks"])
    row["peak_bytes_beside_pictures"] = row["peak_bytes"] - row["held_bytes"]
    row["memory_ratio"] = row["peak_bytes"] / max(1, least["peak_bytes"])


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows for people."""
    heads = ("pictures", "ms an image", "ratio (range)", "MiB", "of it held", "build, ms a pict.",
             "open, s")  # fmt: skip
    lines = ["".join(f"{head:>20s}" for head in heads)]
    for row in rows:
        low, high = row["time_ratio_range"]
        cells = (
            f"{row['pictures']:,}",
            f"{1000 * row['seconds_an_image']:.2f}",
            f"{row['time_ratio']:.3f} ({low:.3f}-{high:.3f})",
            f"{row['peak_bytes'] / 2**20:.0f}",
            f"{row['held_bytes'] / 2**20:.0f}",
            f"{1000 * row['building_seconds_a_picture']:.2f}",
            f"{row['opening_seconds']:.2f}",
        )
        lines.append("".join(f"{cell:>20s}" for cell in cells))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
