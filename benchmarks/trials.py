"""Trainings that are compared: each done once, continued where it was broken off, and tabled."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from records import recorded

from hiresvae.configuration import dump_settings, load_settings
from hiresvae.errors import UserError
from hiresvae.settings import Settings
from hiresvae.uses.curves import Training, read_training

TABLE = (
    "gfid_fitted", "gkid_fitted", "gkid_standard", "gkernel_fitted", "gkernel_standard",
    "sharpness_ratio_samples", "spectrum_distance_samples", "swd_samples", "rfid", "rkid",
    "rkernel", "sharpness_ratio_reconstructions", "psnr_reconstructions",
)  # fmt: skip
DIGITS = 3  # significant, in tables


@dataclass(frozen=True)
class Job:
    """One training and its evaluation.

    Attributes:
        title: of the column or row, such as ``vae, equal seconds``.
        config: YAML file.
        changes: of its settings.
        images: in all.
        seed: of the training.
    """

    title: str
    config: Path
    changes: tuple[str, ...]
    images: int
    seed: int

    @property
    def name(self) -> str:
        """A file name that no other training has."""
        title = self.title.replace(", ", "-").replace(" ", "_")
        return f"{title}-{self.images}-seed{self.seed}"

    def settings(self) -> Settings:
        """Returns what it trains by.

        Raises:
            UserError: the configuration is not there, or a change does not fit it.
        """
        some = max(1, self.images // 6)
        lengths = {"images": self.images, "tick": max(1, self.images // 40)}
        lengths |= {"snapshot": some, "checkpoint": some}
        changes = [*self.changes, f"seed={self.seed}", "name=benchmark"]
        changes += [f"training.{key}={value}" for key, value in lengths.items()]
        plain = load_settings(self.config)
        if plain.adversary is None:
            changes = [change for change in changes if not change.startswith("adversary.")]
        return load_settings(self.config, changes)


@dataclass
class Bench:
    """Where runs and results lie, and how everything is evaluated.

    Attributes:
        runs: folder of the run folders.
        results: folder of figures, tables and reports.
        samples: for the figures.
        features: as in ``hiresvae evaluate``.
        metrics: as in ``hiresvae evaluate``.
        done: a record for every job that is finished.
    """

    runs: Path
    results: Path
    samples: int
    features: str
    metrics: str
    done: list[dict[str, Any]] = field(default_factory=list)

    @property
    def asked(self) -> dict[str, Any]:
        """What every evaluation is asked."""
        common = {"samples": self.samples, "features": self.features, "metrics": self.metrics}
        return common | {"seed": 0}

    def run(self, job: Job) -> Path:
        """Returns the run folder of a job."""
        return self.runs / job.name

    def file(self, job: Job) -> Path:
        """Returns the file of its evaluation."""
        return self.results / f"{job.name}.json"

    def do(self, job: Job) -> dict[str, Any]:
        """Trains and evaluates, or takes what is finished; returns and keeps the record."""
        from hiresvae.generator import load
        from hiresvae.uses.compare import evaluation

        run, settings = self.run(job), job.settings()
        say(f"{job.name}: {job.images:,} images of {settings.data.source}")
        if not finished(run, settings):
            self._train(run, settings)
        painter = load(run)
        report = evaluation(
            painter, str(run), self.file(job), self.asked, painter.data().key, older=True
        )
        record = {
            "title": job.title,
            "seed": job.seed,
            "config": job.config.name,
            "changes": list(job.changes),
            **measured(run),
            "evaluation": self.file(job).name,
        }
        self.done.append({**record, "figures": report["figures"]})
        return record

    def _train(self, run: Path, settings: Settings) -> None:
        from hiresvae.commands.train import train

        run.parent.mkdir(parents=True, exist_ok=True)
        # Read back from a file, as by hand: what is in the results can be trained again.
        file = run.parent / f"{run.name}.yaml"
        file.write_text(dump_settings(settings), encoding="utf-8")
        train(file, [], out=run)

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Writes the summary, with all figures by title, and its table; prints the table."""
        from hiresvae.run import write_json, write_whole

        runs = [{k: v for k, v in one.items() if k != "figures"} for one in self.done]
        summary = {**content, "asked": self.asked, "runs": runs, "figures": by_figure(self.done)}
        write_json(self.results / f"{name}.json", summary)
        text = markdown(self.done)
        write_whole(self.results / f"{name}.md", text)
        say(f"\n{text}\nwritten to {self.results}")

    def report(self, name: str, jobs: Sequence[Job]) -> None:
        """Writes the page that shows some jobs side by side."""
        from hiresvae.commands.compare import write
        from hiresvae.uses.compare import compare

        runs, kept = [str(self.run(job)) for job in jobs], [self.file(job) for job in jobs]
        say(f"report: {write(compare(runs, kept, **self.asked, older=True), self.results / name)}")


def again(job: Job, title: str, images: int, seed: int) -> Job:
    """Returns a job under another title, of other length or seed."""
    return Job(title, job.config, job.changes, images, seed)


def in_batches(images: float, batch_size: int) -> int:
    """Returns a number of images as whole batches, one at least.

    Example:
        >>> in_batches(1003.7, 8)
        1000
    """
    return max(1, int(images // batch_size)) * batch_size


def finished(run: Path, settings: Settings) -> bool:
    """Whether a run folder holds the end of exactly this training.

    Raises:
        UserError: what it says of its model is cut short.
    """
    model, config = run / "model" / "config.json", run / "config.yaml"
    if not (model.is_file() and config.is_file()):
        return False
    seen = recorded(model, "images_seen")["images_seen"]
    same = config.read_text(encoding="utf-8") == dump_settings(settings)
    return bool(same and seen >= settings.training.images)


def measured(run: Path) -> dict[str, float]:
    """Returns images, seconds without pauses, and images per second of a run."""
    training = _training(run)
    speed = training.images / max(training.seconds, 1e-9)
    return {
        "images": training.images,
        "seconds": round(training.seconds, 4),
        "images_per_second": round(speed, 3),
    }


def quiet_speed(run: Path) -> float:
    """Returns the images per second of a run where nothing else slowed it down.

    Of the speeds between two lines of its metrics the upper quartile: what else runs on a machine
    makes a training slower, never faster, and must not decide how long another one is.
    """
    curve = _training(run).curves["images_per_second"]
    images, seconds = (np.diff(np.r_[0.0, x]) for x in (curve.images, curve.seconds))
    return float(np.quantile(images / np.maximum(seconds, 1e-9), 0.75))


def _training(run: Path) -> Training:
    training = read_training(str(run))
    if training is None:
        raise UserError(f"{run} has no metrics.jsonl: remove the folder to train it again")
    return training


def by_figure(done: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns every figure with its values by title, one for each seed."""
    out: dict[str, Any] = {}
    for one in done:
        for name, figure in one["figures"].items():
            facts = {"unit": figure["unit"], "better": figure["better"], "values": {}}
            values = out.setdefault(name, facts)["values"]
            shown = {"seed": one["seed"], **{k: figure[k] for k in ("value", "interval")}}
            values.setdefault(one["title"], []).append(shown)
    return out


def markdown(done: Sequence[Mapping[str, Any]]) -> str:
    """Returns a table: a row for each title, a column for each figure of `TABLE` that is there.

    Of several seeds the mean, with the smallest and the largest; of one its 95 % interval.
    """
    figures = by_figure(done)
    names = [name for name in TABLE if name in figures]
    words = {"up": "up", "down": "down", "one": "nearest 1"}
    heads = [f"{name} ({words.get(figures[name]['better'], '-')})" for name in names]
    lines = [" | ".join(["", "training", "images", "minutes", *heads, ""]).strip()]
    lines.append("|" + "---|" * (len(names) + 3))
    for title in dict.fromkeys(one["title"] for one in done):
        runs = [one for one in done if one["title"] == title]
        images, seconds = (statistics.mean(one[k] for one in runs) for k in ("images", "seconds"))
        cells = [title, f"{images:,.0f}", f"{seconds / 60:.1f}"]
        cells += [_cell(figures[name]["values"].get(title, [])) for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[Mapping[str, Any]]) -> str:
    numbers = [one["value"] for one in values if one["value"] is not None]
    if not numbers:
        return "-"
    mean = f"{statistics.mean(numbers):.{DIGITS}g}"
    if len(numbers) > 1:
        return f"{mean} ({min(numbers):.{DIGITS}g} to {max(numbers):.{DIGITS}g})"
    interval = values[0]["interval"]
    if interval is None or None in interval:
        return mean
    return f"{mean} ({' to '.join(f'{bound:.{DIGITS}g}' for bound in interval)})"


def say(words: str) -> None:
    """Tells what is going on."""
    print(words, flush=True)
