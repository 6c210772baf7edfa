"""Quality of samples against other packages' at equal seconds of training on this machine.

All are trained on the same pictures for the same seconds, and one judge measures the samples of
all. Other packages run in their own environment, named by --python, through `peer.py`. They train
once, as long as the last mark says, and samples are kept at every mark; our own models, whose
schedules are shares of a training, train anew for each mark, on as many images as fit into its
seconds. What was trained in truth is in the table. What cannot be run is listed with the reason.
The same command continues where it was broken off.

A peer may be a Python file of one's own with a function ``train(task, watch)``, as those of
`peer_packages`.

Usage:
    python benchmarks/peers.py --python ../peers/bin/python --marks 300,900,3600
    python benchmarks/peers.py --marks 7200 --out longer --earlier DIR_OF_A_SHORTER_ONE
    python benchmarks/peers.py --data monet --size 64 --peers pythae_vae --set model.width=32
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from command_line import parser_of
from peer_packages import PEERS
from peers_contest import Contest, against, own, told_before, write
from peers_judge import GROUPS, Judge
from sharpness import DATA, ROOT
from trials import Job, say

from hiresvae.cli_common import in_words
from hiresvae.devices import choose_device
from hiresvae.errors import UserError, nearest

if TYPE_CHECKING:
    from hiresvae.data import PictureData

SETS = DATA | {"cifar10": ["data.labels=set"]}
OURS = ("monet_cvaegan.yaml", "monet_vae.yaml", "monet_hybrid.yaml")
FIRST = 100
"""Batches of the short training that tells the speed."""


def training_pictures(data: "PictureData", size: int, file: Path) -> Path:
    """Writes the pictures that are trained on, uint8 ``(N, 3, size, size)``, and returns the file.

    Raises:
        UserError: they are grey, which not all packages can be given.
    """
    if data.pictures.shape[1] != 3:
        raise UserError("other packages are given colour pictures; nearest valid: data.channels=3")
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}")
    np.save(aside, data.middles(data.train, size).numpy())
    aside.replace(file)
    return file


def jobs_of(chosen: argparse.Namespace) -> list[Job]:
    """Returns our own contestants, titled by their configurations.

    Raises:
        UserError: one is not there, does not fit, or differs from the first in its pictures.
    """
    data = (f"data.source={chosen.data}", f"data.size={chosen.size}", *SETS[chosen.data])
    jobs: list[Job] = []
    for file in chosen.ours:
        changes = (*data, *chosen.set)
        batch = Job(file.stem, file, changes, 1, chosen.seed).settings().training.batch_size
        jobs.append(Job(file.stem, file, changes, FIRST * batch, chosen.seed))
    sections = [job.settings().data.model_dump(exclude={"labels"}) for job in jobs]
    for job, section in zip(jobs, sections, strict=True):
        if section != sections[0]:
            raise UserError(
                f"{job.title} and {jobs[0].title} are trained on different pictures: their "
                "sections 'data' may differ in labels alone"
            )
    return jobs


def by_name(words: Sequence[str], peers: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """Returns what is said for all and what for a peer by its name.

    Raises:
        UserError: a name that is no peer's, nor the beginning of a path.

    Example:
        >>> by_name(["/a/python", "stylegan2=/b/python"], ["stylegan2"])
        ('/a/python', {'stylegan2': '/b/python'})
    """
    common, single = None, {}
    for word in words:
        name, equals, rest = word.partition("=")
        if equals and name in peers:
            single[name] = rest
        elif equals and not Path(word).exists() and ("/" not in name or name.endswith(".py")):
            raise UserError(f"{word!r} is for a peer that is not asked for; {nearest(name, peers)}")
        else:
            common = word
    return common, single


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Returns the arguments of the command line."""
    parser = parser_of(__doc__)
    add = parser.add_argument
    add("--data", choices=SETS, default="embedded:paintings", help="as data.source")
    add("--size", type=int, default=32, help="side of the pictures; pythae knows 32 and 64")
    add("--marks", default="300,900", help="seconds of training with commas between")
    add("--peers", default=",".join(PEERS), help="names or Python files; '' for none")
    add(
        "--python",
        action="append",
        default=[],
        metavar="[PEER=]PATH",
        help="interpreter of the peers' environment, or of one peer's; this one if not said",
    )
    add("--options", action="append", default=[], metavar="PEER=JSON", help="of a peer")
    add("--ours", type=Path, nargs="*", help=f"configurations; {', '.join(OURS)}")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="for all of ours")
    add("--samples", type=int, default=500, help="pictures at each mark")
    add("--features", default="auto", help="as in hiresvae evaluate")
    add("--metrics", default=GROUPS, help="as in hiresvae evaluate")
    add("--earlier", type=Path, help="results of a contest before, to be shown beside this one's")
    add("--device", help="such as cpu; the accelerator if there is one")
    add("--seed", type=int, default=0)
    add("--runs", type=Path, default=Path("runs/peers"), help="folder of trainings and samples")
    add("--out", type=Path, default=ROOT / "benchmarks/results/peers", help="folder of results")
    chosen = parser.parse_args(words)
    chosen.peers = [name for name in chosen.peers.split(",") if name]
    if chosen.ours is None:
        chosen.ours = [ROOT / "configs" / name for name in OURS]
    try:
        chosen.marks = sorted({float(mark) for mark in chosen.marks.split(",")})
    except ValueError as error:
        parser.error(f"--marks are seconds with commas between: {error}")
    for mark in chosen.marks:
        if not 0 < mark < math.inf:
            parser.error(f"--marks {mark:g}: seconds are above 0, and end")
    return chosen


def options_of(words: Sequence[str], peers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns the options of peers by name.

    Raises:
        UserError: a peer that is not asked for, or what is no object of JSON.
    """
    common, single = by_name(words, peers)
    if common is not None:
        raise UserError(f"--options {common!r} names no peer; write PEER=JSON")
    options = {}
    for name, content in single.items():
        try:
            options[name] = json.loads(content)
        except ValueError as error:
            raise UserError(f"--options {name}={content} is no JSON: {error}") from error
        if not isinstance(options[name], dict):
            raise UserError(f'--options {name}={content}: write options by name, as {{"width": 8}}')
    return options


@in_words()
def main(words: Sequence[str] | None = None) -> None:
    """Runs the comparison that the command line asks for."""
    from hiresvae.data import open_data

    chosen = parse(words)
    choose_device(chosen.device)
    for name in chosen.peers:
        if name not in PEERS and not name.endswith(".py"):
            raise UserError(f"--peers {name!r} is not known; {nearest(name, PEERS)}")
    common, single = by_name(chosen.python, chosen.peers)
    options = options_of(chosen.options, chosen.peers)
    jobs = jobs_of(chosen)
    if not jobs:
        raise UserError("--ours names no configuration; nearest valid: leave it out")
    section = jobs[0].settings().data
    data = open_data(section)
    title = f"{chosen.data.replace(':', '_')}_{chosen.size}"
    kinds = {"features": chosen.features, "metrics": chosen.metrics, "device": chosen.device}
    judge = Judge(data, section.size, chosen.samples, **kinds)
    results = chosen.out / title
    if chosen.earlier is not None and chosen.earlier.resolve() == results.resolve():
        raise UserError(f"--earlier {results} is where this contest goes: name another --out")
    contest = Contest(
        chosen.runs / title, results, chosen.marks, chosen.samples, chosen.seed,
        chosen.device, judge,
        earlier=told_before(chosen.earlier, judge) if chosen.earlier else (),
    )  # fmt: skip
    pictures = training_pictures(data, section.size, contest.runs / "train.npy")
    setting = [
        f"{len(data.train):,} pictures of {section.source} at {section.size} px, "
        f"{len(data.held_out):,} held out, {chosen.samples} samples of each contestant, "
        f"seed {chosen.seed}, {torch.get_num_threads()} threads."
    ]
    contest.real(judge.reals.held_out)
    for peer in chosen.peers:
        python = single.get(peer, common or sys.executable)
        against(contest, peer, python, pictures, options.get(peer, {}))
        write(contest, setting)
    for job in jobs:
        own(contest, job)
        table = write(contest, setting)
    say(f"\n{table}\nwritten to {contest.results}")


if __name__ == "__main__":
    sys.exit(main())
