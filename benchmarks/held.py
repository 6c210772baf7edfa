"""What it wins to hold memory that was cleared once, and how much more memory that takes.

Trainings on the CPU at several sides, with `hiresvae.held_memory` and without it, in turn, some
rounds, each in a process of its own. Images a second are medians between two ticks, after the first
ones; memory is the process's own at its worst moment. The adversary works from the start.

Usage:
    python benchmarks/held.py
    python benchmarks/held.py configs/monet_vae.yaml --sides 64 512 --batch 8 --rounds 5
"""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from command_line import parser_of
from trainings import ended, speed, start, timed

from hiresvae.cli_common import in_words
from hiresvae.configuration import dump_settings, load_settings
from hiresvae.data import open_data
from hiresvae.devices import usable_cores
from hiresvae.errors import UserError
from hiresvae.run import RunFolder, write_json

HOLDS = ("-m", "hiresvae")
GIVES_BACK = (
    "-c",
    "from hiresvae import held_memory; held_memory.PLENTY = float('inf')\n"
    "import sys; from hiresvae.cli import main; main(sys.argv[1:])",
)
PROGRAMS = {"held": HOLDS, "given_back": GIVES_BACK}
SAID = "memory that steps give back is kept"
SKIPPED = 3
"""First ticks that do not count: memory is held from the first on, and has to be cleared once."""


@in_words()
def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    parser = parser_of(__doc__)
    parser.add_argument("config", nargs="?", default="configs/monet_cvaegan.yaml")
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--batch", type=int, default=16, help="pictures of a step")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2, help="between two ticks")
    parser.add_argument("--ticks", type=int, default=9)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/held.json"))
    chosen = parser.parse_args(words)
    print(f"{'side':>5s} {'images/s held':>15s} {'given back':>12s} {'ratio (range)':>22s} "
          f"{'GiB held':>10s} {'given back':>12s}", flush=True)  # fmt: skip
    rows = []
    for side in chosen.sides:
        own = [f"data.size={side}", f"training.batch_size={chosen.batch}"]
        settings = load_settings(chosen.config, [*own, *chosen.set])
        settings = timed(settings, chosen.steps, chosen.ticks)
        open_data(settings.data, inputs=settings.inputs, progress=False)  # not while one is timed
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "config.yaml"
            config.write_text(dump_settings(settings), encoding="utf-8")
            rounds = [one_round(config, number) for number in range(chosen.rounds)]
        rows.append({"side": side} | summary(rounds))
        row = rows[-1]
        low, high = row["ratio_range"]
        print(f"{side:5d} {row['held']['images_per_second']:15.2f} "
              f"{row['given_back']['images_per_second']:12.2f} "
              f"{row['ratio']:10.2f} ({low:.2f} to {high:.2f}) {row['held']['gib']:10.2f} "
              f"{row['given_back']['gib']:12.2f}", flush=True)  # fmt: skip
    facts = {"config": Path(chosen.config).name, "set": chosen.set, "batch": chosen.batch}
    facts |= {"threads": usable_cores(), "rounds": chosen.rounds, "torch": torch.__version__}
    write_json(chosen.out, facts | {"rows": rows})


def one_round(config: Path, number: int) -> dict[str, dict[str, float]]:
    """Trains with and without, in another order each time; returns images a second and GiB of each.

    Raises:
        UserError: memory was not held where it should be: there is too little.
    """
    found = {}
    for who, program in sorted(PROGRAMS.items(), reverse=bool(number % 2)):
        run = config.parent / who
        peak = ended(start(config, run, usable_cores(), program=program))
        if (SAID in RunFolder(run).log.read_text(encoding="utf-8")) != (who == "held"):
            raise UserError("memory is held only where there is plenty; nearest valid: --batch 2")
        found[who] = {"images_per_second": speed(run, SKIPPED), "gib": peak / 2**30}
    return found


def summary(rounds: Sequence[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Returns medians over rounds, and the ratio of the speeds round by round."""
    ratios = [
        one["held"]["images_per_second"] / one["given_back"]["images_per_second"] for one in rounds
    ]
    found: dict[str, Any] = {
        who: {name: statistics.median(one[who][name] for one in rounds) for name in rounds[0][who]}
        for who in rounds[0]
    }
    return found | {
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
    }


if __name__ == "__main__":
    main()
