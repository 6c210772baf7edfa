"""What a training wrote of itself as curves against images and against seconds."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hiresvae.run import MetricsFile, RunFolder
from hiresvae.training.seconds import training_seconds


@dataclass(frozen=True)
class Curve:
    """One measured quantity over a training.

    Attributes:
        images: seen, ``(n,)``.
        seconds: of training, pauses left out, ``(n,)``.
        values: ``(n,)``.
        unit: of the values.
    """

    images: np.ndarray
    seconds: np.ndarray
    values: np.ndarray
    unit: str

    def to_json(self) -> dict[str, Any]:
        """Returns the curve as lists."""
        columns = {"images": self.images, "seconds": self.seconds, "values": self.values}
        return {"unit": self.unit, **{name: x.tolist() for name, x in columns.items()}}


@dataclass(frozen=True)
class Training:
    """How long a training took, and its curves.

    Attributes:
        images: seen in all.
        seconds: of training in all, pauses left out.
        curves: by name of the quantity.
    """

    images: int
    seconds: float
    curves: dict[str, Curve] = field(default_factory=dict)


def read_training(model: str, error_unit: str = "squared error") -> Training | None:
    """Returns what is known of the training of a run folder, or None of any other model.

    Args:
        model: as given to ``hiresvae.load``.
        error_unit: of ``error`` in ``metrics.jsonl``, which depends on the likelihood.
    """
    run = RunFolder(Path(model).expanduser())
    if not run.metrics.is_file():
        return None
    lines = MetricsFile(run.metrics).read()
    if not lines:
        return None
    images = np.array([line["images"] for line in lines])
    seconds = training_seconds(lines)
    units = {"error": error_unit, "rate_nats": "nats", "images_per_second": "images/s"}
    curves = {}
    for name, unit in units.items():
        rows = [i for i, line in enumerate(lines) if name in line]
        if rows:
            values = np.array([float(lines[i][name]) for i in rows])
            curves[name] = Curve(images[rows], seconds[rows], values, unit)
    name = "kernel_distance_held_out"
    scores = MetricsFile(run.scores).read() if run.scores.is_file() else []
    scores = [line for line in scores if math.isfinite(line.get(name, math.nan))]
    if scores:
        seen = np.array([line["images"] for line in scores])
        # A snapshot is scored after the line of metrics that was written at as many images.
        at = np.interp(seen, np.r_[0, images], np.r_[0.0, seconds])
        values = np.array([float(line[name]) for line in scores])
        unit = f"squared MMD of {scores[0]['features']}"
        curves[name] = Curve(seen, at, values, unit)
    return Training(int(images[-1]), float(seconds[-1]), curves)
