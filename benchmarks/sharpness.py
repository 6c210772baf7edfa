"""The plain VAE against what has an adversary, at equal images and at equal seconds.

Trains each from a configuration that differs only in what is compared, evaluates all, and writes
figures, tables and reports. The same command continues where it was broken off: trainings go on,
finished evaluations are kept.

Equal seconds: all train on the same number of images first. Each but the slowest then trains anew,
on as many images as it makes in the seconds that the slowest took, or all in those of --seconds, by
the speed that each had where nothing else slowed it down; what was measured is in the summary.

The ladders need --size 32, or twice that and so on: 32 for all four; 28 suits fashion_mnist where
--contestants are cvaegan,vae.

Usage:
    python benchmarks/sharpness.py --budget minutes
    python benchmarks/sharpness.py --budget hour --data monet --size 64 --seeds 0,1,2
    python benchmarks/sharpness.py --budget minutes --ablate
    python benchmarks/sharpness.py --budget minutes --diets
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asked import refuse_files, refuse_unmeasurable
from command_line import parser_of
from fairness import SIDES, refuse_unfair, refuse_unfit
from records import recorded
from trials import Bench, Job, again, in_batches, quiet_speed, say

from hiresvae.cli_common import in_words
from hiresvae.errors import UserError, nearest

ROOT = Path(__file__).resolve().parent.parent
# Written for Monet, which has no labels; the data are changed below, for all alike.
CONTESTANTS = {
    "vae": "monet_vae.yaml",
    "ladder": "monet_ladder.yaml",
    "cvaegan": "monet_cvaegan.yaml",
    "hybrid": "monet_hybrid.yaml",
}
LABELLED = ("data.labels=set", "model.conditional=true")
DATA = {
    "monet": ["adversary.condition=none"],
    "lfw": [*LABELLED],
    # As configs/fashion_cvaegan.yaml, in any budget: ten kinds that people know.
    "fashion_mnist": [
        *LABELLED, "data.mirror=false", "training.ema_images=500",
        "adversary.condition=both", "adversary.classifier=0.3", "adversary.weight=6",
        "adversary.gamma=0.02",
    ],
    "embedded:paintings": [*LABELLED],
    "embedded:faces": [*LABELLED],
}  # fmt: skip
# Changes of the contestant with an adversary, by title; without any it is trained as it is.
Variants = Mapping[str, Sequence[str]]
ABLATIONS: Variants = {
    "everything": [],
    "without grain": ["model.grain=false"],
    "without feature matching": ["adversary.feature_matching=0"],
    "without gradient penalties": ["adversary.gamma=0"],
    "without augmentation": ["adversary.augment=[]"],
    "without labels": ["data.labels=none", "model.conditional=false", "adversary.condition=none"],
    "without averaged weights": ["training.ema_images=0"],
}
# What the critic is shown beside real pictures: it decides how far samples fall behind
# reconstructions.
DIETS: Variants = {
    "reconstructions": ["adversary.fakes=[reconstructions]"],
    "and samples of the standard prior": ["adversary.fakes=[reconstructions,standard]"],
    "and samples of the running fit": ["adversary.fakes=[reconstructions,fitted]"],
    "and both": ["adversary.fakes=[reconstructions,standard,fitted]"],
    "samples of the running fit alone": ["adversary.fakes=[fitted]"],
    "the encoder is the critic": ["adversary=null", "model.grain=false", "introspective.weight=1"],
}
FAMILIES = {"ablation": ABLATIONS, "diets": DIETS}


@dataclass(frozen=True)
class Budget:
    """How long the trainings are, and what goes with that.

    Attributes:
        images: that each sees.
        samples: for the figures.
        changes: of settings, those of the adversary for those that have one.
    """

    images: int
    samples: int
    changes: tuple[str, ...] = ()


BUDGETS = {
    # As configs/quickstart.yaml: small batches and quick networks for a laptop.
    "minutes": Budget(
        12_000,
        500,
        (
            "data.limit=2000", "model.max_width=128", "training.batch_size=8",
            "training.lr=5e-4", "training.ema_images=3000", "adversary.augment=[]",
            "adversary.gamma=0.05", "adversary.lr=5e-4", "adversary.max_width=64",
        ),
    ),
    "hour": Budget(100_000, 1000),
    # For a GPU, which small batches would leave idle.
    "day": Budget(5_000_000, 5000, ("training.batch_size=64", "training.ema_images=20000")),
}  # fmt: skip


def contest(
    bench: Bench, jobs: Mapping[str, Job], seeds: Sequence[int], asked: float | None = None
) -> None:
    """Trains all at equal images and the faster ones again at equal seconds; writes everything.

    Args:
        bench: where to.
        jobs: by contestant.
        seeds: of the trainings.
        asked: seconds for all, instead of those of the slowest.
    """
    plans = Plans(bench.results / "equal_seconds.json")
    for seed in seeds:
        equal = {
            who: again(job, f"{who}, equal images", job.images, seed) for who, job in jobs.items()
        }
        for job in equal.values():
            bench.do(job)
        speed = {who: quiet_speed(bench.run(job)) for who, job in equal.items()}
        if seed == seeds[0]:
            # Before the longer half begins, so that there is something to look at.
            bench.report("equal_images", list(equal.values()))
        slowest, seconds = None, asked
        if seconds is None:
            slowest = min(speed, key=lambda who: speed[who])
            seconds = equal[slowest].images / speed[slowest]
        timed = {}
        for who, job in equal.items():
            if who == slowest:
                timed[who] = job
                plans.content.pop(job.name, None)  # of another clock
                continue
            images = plans.images(job, slowest, speed[who], seconds)
            timed[who] = again(job, f"{who}, equal seconds", images, seed)
            bench.do(timed[who])
        if seed == seeds[0]:
            bench.report("equal_seconds", list(timed.values()))
    bench.write("summary", {"equal_seconds": plans.content, "seeds": list(seeds)})


class Plans:
    """How many images each training at equal seconds has; once decided it stays.

    Another measurement of the speed would make it another training.

    Args:
        file: JSON that remembers.

    Raises:
        UserError: it is cut short.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.content: dict[str, Any] = (
            recorded(file, mend="delete it, and lengths at equal seconds are decided anew")
            if file.is_file()
            else {}
        )

    def images(self, job: Job, slowest: str | None, speed: float, seconds: float) -> int:
        """Returns the images that a contestant makes in so many seconds.

        Args:
            job: its training at equal images.
            slowest: whose seconds they are, measured anew each time; None: they were asked for.
            speed: images per second of the job, measured.
            seconds: for the training.
        """
        from hiresvae.run import write_json

        decided: dict[str, Any] = self.content.get(job.name, {})
        other = decided.get("slowest") != slowest if slowest else decided.get("seconds") != seconds
        if other:
            decided = {
                "images": in_batches(speed * seconds, job.settings().training.batch_size),
                "images_per_second": speed,
                "seconds": seconds,
                "slowest": slowest,
            }
            self.content[job.name] = decided
            write_json(self.file, self.content)
        return int(decided["images"])


def vary(bench: Bench, whole: Job, family: str, seeds: Sequence[int]) -> None:
    """Trains every variant of a family at equal images, and writes a table.

    Args:
        bench: where to.
        whole: the training that they are variants of.
        family: of `FAMILIES`, the name of the table too.
        seeds: of the trainings.
    """
    skipped = []
    for title, one in variants(whole, family).items():
        if title.startswith("without") and one.settings() == whole.settings():
            skipped.append(title)
            say(f"{title}: left out already, nothing to compare")
            continue
        for seed in seeds:
            bench.do(again(one, one.title, one.images, seed))
    bench.write(family, {"seeds": list(seeds), "absent_already": skipped})


def variants(whole: Job, family: str) -> dict[str, Job]:
    """Returns the jobs of a family by title.

    Args:
        whole: the training that they are variants of.
        family: of `FAMILIES`.
    """
    return {
        title: Job(title, whole.config, (*whole.changes, *changes), whole.images, whole.seed)
        for title, changes in FAMILIES[family].items()
    }


def chosen(arguments: argparse.Namespace) -> dict[str, Job]:
    """Returns the jobs that the arguments name, by contestant, checked.

    Raises:
        UserError: an unknown contestant, one without its configuration, too few or too many.
    """
    present = [who for who, file in CONTESTANTS.items() if (arguments.configs / file).is_file()]
    names = arguments.contestants.split(",") if arguments.contestants else present
    if arguments.family and not arguments.contestants:
        names = ["cvaegan"]
    if arguments.family and len(names) > 1:
        raise UserError(
            f"--contestants {','.join(names)!r}: --ablate and --diets take one, such as cvaegan"
        )
    budget = BUDGETS[arguments.budget]
    data = (f"data.source={arguments.data}", f"data.size={arguments.size}", *DATA[arguments.data])
    jobs = {}
    for who in names:
        if who not in present:
            raise UserError(f"--contestants {who!r} is not there; {nearest(who, present)}")
        jobs[who] = Job(
            who,
            arguments.configs / CONTESTANTS[who],
            (*budget.changes, *data, *arguments.set),
            budget.images if arguments.images is None else arguments.images,
            arguments.seeds[0],
        )
    if len(jobs) < 2 and not arguments.family:
        raise UserError(f"--contestants {','.join(names)!r} is one alone; name 2 of {present}")
    refuse_unfit(jobs)
    refuse_unfair(jobs)
    for one in variants(jobs[names[0]], arguments.family).values() if arguments.family else ():
        one.settings()
    return jobs


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Returns the arguments of the command line."""
    parser = parser_of(__doc__)
    add = parser.add_argument
    add("--budget", choices=BUDGETS, default="minutes", help="how long the trainings are")
    add("--data", choices=DATA, default="embedded:paintings", help="as data.source")
    add("--size", type=int, default=32, help=f"side of the pictures; {SIDES}")
    add("--seeds", default="0", help="of the trainings, with commas between")
    add("--contestants", metavar="A,B", help=f"of {', '.join(CONTESTANTS)}; all that have a config")
    families = parser.add_mutually_exclusive_group()
    for flag, family, words_of in (
        ("--ablate", "ablation", "leave out one component of the cvaegan at a time"),
        ("--diets", "diets", "compare what the critic is shown"),
    ):
        families.add_argument(
            flag, dest="family", action="store_const", const=family, help=words_of
        )
    add("--images", type=int, help="instead of the budget's")
    add("--seconds", type=float, help="at equal seconds, instead of what the slowest takes")
    add("--samples", type=int, help="instead of the budget's")
    add("--features", default="auto", help="as in hiresvae evaluate")
    add("--metrics", default="all", help="as in hiresvae evaluate")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="for all alike")
    add("--configs", type=Path, default=ROOT / "configs", help="folder of the configurations")
    add("--runs", type=Path, default=Path("runs/benchmark"), help="folder of the trainings")
    add("--out", type=Path, default=ROOT / "benchmarks/results", help="folder of the results")
    add("--dry-run", action="store_true", help="tell what would be trained, and stop")
    arguments = parser.parse_args(words)
    try:
        arguments.seeds = seeds_of(arguments.seeds)
    except ValueError as error:
        parser.error(f"--seeds {arguments.seeds!r}: {error}, such as 0,1")
    if arguments.images is not None and arguments.images < 1:
        parser.error(f"--images {arguments.images}: 1 or more; left out it is the budget's")
    if arguments.samples is None:
        arguments.samples = BUDGETS[arguments.budget].samples
    if arguments.seconds is not None and arguments.family:
        parser.error(
            "--seconds is for all at equal seconds; --ablate and --diets are at equal images"
        )
    if arguments.seconds is not None and not 0 < arguments.seconds < float("inf"):
        parser.error(f"--seconds {arguments.seconds:g}: more than 0, such as 960")
    return arguments


def seeds_of(words: str) -> list[int]:
    """Returns the seeds that are named with commas between.

    Raises:
        ValueError: what they must be.

    Example:
        >>> seeds_of("0,3")
        [0, 3]
    """
    if not all(seed.strip().isdecimal() for seed in words.split(",")):
        raise ValueError("whole numbers of 0 or more with commas between")
    seeds = [int(seed) for seed in words.split(",")]
    if len(set(seeds)) < len(seeds):
        raise ValueError("each once")
    return seeds


@in_words()
def main(words: Sequence[str] | None = None) -> None:
    """Runs the benchmark that the command line asks for."""
    arguments = parse(words)
    jobs = chosen(arguments)
    refuse_unmeasurable(arguments.samples, arguments.features, arguments.metrics)
    title = f"{arguments.data.replace(':', '_')}_{arguments.size}_{arguments.budget}"
    if arguments.family:
        title += f"_{next(iter(jobs))}"
    refuse_files(runs=arguments.runs / title, out=arguments.out / title)
    bench = Bench(
        arguments.runs / title,
        arguments.out / title,
        arguments.samples,
        arguments.features,
        arguments.metrics,
    )
    if arguments.dry_run:
        for who, job in jobs.items():
            say(f"{who}: {job.images:,} images, {job.config.name} {' '.join(job.changes)}")
        say(f"seeds {arguments.seeds}, results in {bench.results}")
    elif arguments.family:
        vary(bench, next(iter(jobs.values())), arguments.family, arguments.seeds)
    else:
        contest(bench, jobs, arguments.seeds, arguments.seconds)


if __name__ == "__main__":
    sys.exit(main())
