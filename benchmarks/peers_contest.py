"""A contest at equal seconds: who trains, what is drawn, and what is kept of it."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peer import keep_mark, kept, mark_files, question, versions
from peers_judge import Judge
from peers_show import curves, markdown, sheet
from records import recorded
from trials import Job, again, finished, in_batches, measured, say
from workers import worked

from hiresvae.configuration import dump_settings
from hiresvae.errors import UserError
from hiresvae.run import write_json, write_whole

TOLERANCE = 0.1
"""A training whose seconds are off by a larger share is done again, once."""


@dataclass
class Contest:
    """What is compared, and where it lies.

    Attributes:
        runs: folder of trainings and samples.
        results: folder of figures, table and plots.
        marks: seconds of training, in order.
        samples: pictures at each mark.
        seed: of all trainings.
        device: such as ``cpu``; None: the accelerator if there is one.
        judge: measures all.
        rows: of the table.
        absent: reason by name of whoever could not be run.
        earlier: rows of contests before this one, in the table and the curves as well.
    """

    runs: Path
    results: Path
    marks: list[float]
    samples: int
    seed: int
    device: str | None
    judge: Judge
    rows: list[dict[str, Any]] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    earlier: Sequence[dict[str, Any]] = ()

    def folder(self, who: str) -> Path:
        """Returns the folder of a contestant's samples."""
        return self.runs / "samples" / who

    def enter(self, who: str, mark: float, facts: dict[str, Any], *, ours: bool) -> None:
        """Measures the samples of a mark and keeps the row."""
        made = np.load(mark_files(self.folder(who), mark)[0])
        say(f"{who}: measuring {len(made)} samples of {mark:g} s")
        figures = self.judge.kept(made, self.results / f"{who}-{mark:g}.json")
        self.rows.append({"who": who, "mark": mark, "ours": ours, **facts, "figures": figures})

    def real(self, pictures: torch.Tensor) -> None:
        """Measures held-out pictures as if they were samples: what cannot be done better."""
        figures = self.judge.kept(pictures.numpy(), self.results / "held_out.json")
        # How far they are from themselves is no news.
        told = {name: one for name, one in figures.items() if not name.endswith("_held_out")}
        row = {"who": "held-out pictures", "mark": None, "ours": False, "figures": told}
        self.rows.append(row)


def told_before(folder: Path, judge: Judge) -> list[dict[str, Any]]:
    """Returns the rows of an earlier contest's contestants.

    Args:
        folder: of its results.
        judge: of this one.

    Raises:
        UserError: it is not there, or judged other pictures or otherwise.
    """
    summary = recorded(folder / "summary.json", "asked", "rows", mend="name a finished contest")
    other = [key for key, value in judge.asked.items() if summary["asked"].get(key) != value]
    network = judge.plan.network
    own = {None if network is None else network.sha256, None}
    every = [figure for row in summary["rows"] for figure in row["figures"].values()]
    if not {(figure["features"] or {}).get("sha256") for figure in every} <= own:
        other.append("feature network")
    if other:
        raise UserError(
            f"{folder} was judged by other {' and '.join(other)}, which cannot stand in one table"
        )
    return [row for row in summary["rows"] if row["mark"] is not None]


def against(contest: Contest, peer: str, python: str, pictures: Path, options: Any) -> None:
    """Has another package train in its own environment and enters what it made.

    Args:
        contest: where to.
        peer: its name, or a Python file.
        python: interpreter of its environment.
        pictures: .npy of those to be trained on.
        options: of the package.
    """
    who = Path(peer).stem if peer.endswith(".py") else peer
    folder = contest.folder(who)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = {"samples": contest.samples, "options": options, "seed": contest.seed}
    asked = question(peer, pictures, contest.marks, **chosen)
    if any(kept(folder, mark, asked) is None for mark in contest.marks):
        reason = _worker(contest, folder, python, [peer, f"--pictures={pictures}"], options)
        if reason is not None:
            contest.absent[who] = reason
    for mark in contest.marks:
        facts = kept(folder, mark, asked)
        if facts is None:
            continue
        reason = unfit(mark_files(folder, mark)[0], contest.judge.reals.held_out)
        if reason is None:
            contest.enter(who, mark, facts, ours=False)
        else:
            contest.absent[who] = reason


def unfit(file: Path, reals: torch.Tensor) -> str | None:
    """Returns why the pictures of a file cannot be held against real ones, or None.

    Args:
        file: .npy of samples.
        reals: uint8 ``(N, C, S, S)``.
    """
    try:
        made = np.load(file)
    except (OSError, ValueError, EOFError):
        return f"its samples in {file} cannot be read; delete the file to train it again"
    if made.dtype == np.uint8 and made.shape[1:] == tuple(reals.shape[1:]):
        return None
    shape, wanted = (" x ".join(map(str, one)) for one in (made.shape[1:], reals.shape[1:]))
    return (
        f"its samples are {made.dtype} {shape}, real pictures uint8 {wanted}; delete {file} to "
        "train it again"
    )


def _worker(
    contest: Contest, folder: Path, python: str, words: list[str], options: Any
) -> str | None:
    """Runs a worker to its end and returns why it could not reach it, or None."""
    words = [
        *words, f"--samples={contest.samples}", f"--seed={contest.seed}",
        f"--marks={','.join(f'{mark:g}' for mark in contest.marks)}", "--attached",
        f"--options={json.dumps(options)}", f"--out={folder}",
    ]  # fmt: skip
    log = folder / "log.txt"
    say(f"{folder.name}: {contest.marks[-1]:g} s of training by {python}, told in {log}")
    return worked(python, "peer.py", words, folder, contest.device)


class Plans:
    """How many images fit into which seconds; once decided it stays, or trainings would begin anew.

    Args:
        file: JSON that remembers.

    Raises:
        UserError: it is cut short.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.content: dict[str, Any] = (
            recorded(file, mend="delete it, and the lengths are decided anew")
            if file.is_file()
            else {}
        )

    def put(self, key: str, value: Any) -> None:
        """Remembers."""
        self.content[key] = value
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.file, self.content)


def own(contest: Contest, job: Job) -> None:
    """Trains a model of ours for each mark and enters what it makes.

    Args:
        contest: where to.
        job: titled as the contestant, with as many images as are to tell the speed.
    """
    settings = job.settings()
    about = hashlib.sha256(dump_settings(settings).encode()).hexdigest()[:12]
    runs, batch = contest.runs / "own" / about, settings.training.batch_size
    plans = Plans(runs / "plans.json")
    speed = plans.content.get("speed")
    if speed is None:
        speed = trained(again(job, f"{job.title}, speed", job.images, job.seed), runs, contest)[
            "images_per_second"
        ]
        plans.put("speed", speed)
    for mark in contest.marks:
        plan = plans.content.get(f"{mark:g}")
        if plan is None:
            plan = {"images": in_batches(speed * mark, batch), "again": False}
            plans.put(f"{mark:g}", plan)
        timed = again(job, f"{job.title}, {mark:g} s", plan["images"], job.seed)
        took = trained(timed, runs, contest)
        speed = took["images_per_second"]
        images = in_batches(speed * mark, batch)
        off = abs(took["seconds"] / mark - 1) > TOLERANCE
        if off and not plan["again"] and images != plan["images"]:
            say(f"{job.title}: {took['seconds']:.0f} s instead of {mark:g}, once more")
            plans.put(f"{mark:g}", {"images": images, "again": True})
            shutil.rmtree(runs / timed.name)
            timed = again(job, f"{job.title}, {mark:g} s", images, job.seed)
            took = trained(timed, runs, contest)
        facts = drawn(contest, job.title, mark, runs / timed.name, took)
        contest.enter(job.title, mark, facts, ours=True)


def trained(job: Job, runs: Path, contest: Contest) -> dict[str, float]:
    """Trains, or takes what is finished; returns images, seconds and images per second."""
    from hiresvae.commands.train import train

    run, settings = runs / job.name, job.settings()
    if not finished(run, settings):
        say(f"{job.title}: {job.images:,} images")
        run.parent.mkdir(parents=True, exist_ok=True)
        file = run.parent / f"{run.name}.yaml"
        file.write_text(dump_settings(settings), encoding="utf-8")
        train(file, [], out=run, device=contest.device)
    return measured(run)


def drawn(
    contest: Contest, who: str, mark: float, run: Path, took: dict[str, float]
) -> dict[str, Any]:
    """Draws the samples of a training of ours, if they are not kept, and returns the facts."""
    from hiresvae.generator import load

    asked = {
        "run": f"{run.parent.name}/{run.name}", "samples": contest.samples, "seed": contest.seed,
    }  # fmt: skip
    facts = kept(contest.folder(who), mark, asked)
    if facts is None:
        painter = load(run, device=contest.device)
        made = torch.cat(list(painter.sample_batches(contest.samples, seed=contest.seed)))
        facts = {
            **took,
            "parameters": sum(p.numel() for p in painter.model.parameters()),
            "batch": painter.settings.training.batch_size,
            "lr": painter.settings.training.lr,
            "versions": versions("hiresvae"),
            "threads": torch.get_num_threads(),
            "asked": asked,
        }
        keep_mark(contest.folder(who), mark, made.numpy(), facts)
    return facts


def write(contest: Contest, setting: Sequence[str]) -> str:
    """Writes figures, table, curves and samples; returns the table."""
    out, floors = contest.results, contest.judge.floors
    out.mkdir(parents=True, exist_ok=True)
    last = [row for row in contest.rows if row["mark"] == contest.marks[-1]]
    shown = [
        (row["who"], np.load(mark_files(contest.folder(row["who"]), row["mark"])[0]))
        for row in last
    ]
    shown.append(("held-out pictures", contest.judge.reals.held_out.numpy()))
    summary = {
        "setting": setting,
        "marks": contest.marks,
        "asked": contest.judge.asked,
        "notes": list(dict.fromkeys(contest.judge.plan.notes)),
        "absent": contest.absent,
        "floors": floors,
        "sheet": sheet(shown, out / "samples.png"),
        "rows": contest.rows,
    }
    write_json(out / "summary.json", summary)
    mine = {(row["who"], row["mark"]) for row in contest.rows}
    rows = [row for row in contest.earlier if (row["who"], row["mark"]) not in mine] + contest.rows
    table = markdown(rows, contest.absent, setting)
    write_whole(out / "summary.md", table)
    curves(rows, floors, out / "curves.png")
    return table
