"""What two processes lose by training together: the overhead of synchronisation.

In turn, some rounds: two trainings of one thread each that know nothing of one another, each with
half the batch; the same two as one training that sums its gradients; one process of two threads
with the whole batch. The first is what two cores can do, so

    overhead = 1 - images/s together / images/s of both apart

Images a second are medians between two ticks, after the first ones, and of the two apart only while
both are at work. The adversary works from the start.

Usage:
    python benchmarks/processes.py
    python benchmarks/processes.py configs/quickstart.yaml --side 32 --steps 64 --rounds 5
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from command_line import parser_of
from trainings import ended, last_tick, speed, start, timed

from hiresvae.checks import check
from hiresvae.cli_common import in_words
from hiresvae.configuration import dump_settings, load_settings
from hiresvae.data import open_data
from hiresvae.run import write_json

APART, TOGETHER, ALONE = "apart", "together", "one process"
WORDS = {
    APART: "two processes apart, half the batch each",
    TOGETHER: "the same two as one training",
    ALONE: "one process, two threads",
}
SKIPPED = 1
"""First ticks that do not count."""


@in_words()
def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    chosen = parse(words)
    with tempfile.TemporaryDirectory() as temporary:
        place = chosen.folder or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        configs = _configs(place, chosen)
        rounds = []
        for _ in range(chosen.rounds):
            rounds.append({who: images_a_second(place, configs, who) for who in WORDS})
            print("  ".join(f"{who} {x:.2f} images/s" for who, x in rounds[-1].items()), flush=True)
    told = ("side", "batch", "steps", "ticks", "set")
    facts = {"config": Path(chosen.config).name, **{name: getattr(chosen, name) for name in told}}
    found = summary(rounds)
    write_json(chosen.out, facts | {"rounds": rounds} | found)
    for who, speed_of in found["images_per_second"].items():
        print(f"{WORDS[who]:42s} {speed_of:8.2f} images/s")
    for name in ("overhead", "overhead_of_threads"):
        value, (low, high) = found[name], found[f"{name}_range"]
        print(f"{name.replace('_', ' '):42s} {100 * value:8.1f} % ({100 * low:.1f} to "
              f"{100 * high:.1f})")  # fmt: skip


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Returns the arguments of the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("config", nargs="?", default="configs/monet_cvaegan.yaml")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16, help="pictures of a whole step")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=16, help="between two ticks")
    parser.add_argument("--ticks", type=int, default=4)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--folder", type=Path, help="for the runs; else removed")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/processes.json"))
    return parser.parse_args(words)


def _configs(place: Path, chosen: argparse.Namespace) -> dict[str, Path]:
    """Writes the settings with the whole batch and with half of it, and decodes the pictures."""
    files = {}
    for name, batch in (("whole", chosen.batch), ("half", chosen.batch // 2)):
        own = [f"data.size={chosen.side}", f"training.batch_size={batch}"]
        settings = timed(
            load_settings(chosen.config, [*own, *chosen.set]), chosen.steps, chosen.ticks
        )
        check(settings, processes=2 if name == "whole" else 1)
        files[name] = place / f"{name}.yaml"
        files[name].write_text(dump_settings(settings), encoding="utf-8")
    open_data(settings.data, inputs=settings.inputs, progress=False)  # not while one is timed
    return files


def images_a_second(place: Path, configs: dict[str, Path], who: str) -> float:
    """Trains and returns the images a second of all processes.

    Args:
        place: folder of the runs.
        configs: with the "whole" batch, and with "half" of it.
        who: of `WORDS`.
    """
    if who == APART:
        runs = [place / "first", place / "second"]
        ended([process for run in runs for process in start(configs["half"], run, 1)])
        until = min(map(last_tick, runs))
        return sum(speed(run, SKIPPED, until) for run in runs)
    run = place / who.replace(" ", "_")
    processes = 2 if who == TOGETHER else 1
    ended(start(configs["whole"], run, 2 // processes, processes))
    return speed(run, SKIPPED)


def summary(rounds: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Returns medians over rounds, and what is lost against the two apart, round by round."""
    found: dict[str, Any] = {
        "images_per_second": {who: statistics.median(x[who] for x in rounds) for who in WORDS}
    }
    for name, who in (("overhead", TOGETHER), ("overhead_of_threads", ALONE)):
        lost = [1 - x[who] / x[APART] for x in rounds]
        found[name] = statistics.median(lost)
        found[f"{name}_range"] = [min(lost), max(lost)]
    return found


if __name__ == "__main__":
    main()
