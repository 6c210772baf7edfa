"""What each rung carries, told at ticks; and words for rungs that carry nothing."""

import numpy as np
import torch
from torch import Tensor

from hiresvae.data import PictureData
from hiresvae.distributions.gaussian import ACTIVE
from hiresvae.images import binarized, to_float
from hiresvae.models.draws import FromPosterior
from hiresvae.seeding import generator
from hiresvae.settings import TrainingSettings
from hiresvae.training.step import Step

SHOWN = 64
"""Most pictures whose latents are looked at; the same at every tick."""

SILENT = 0.5
"""Nats a picture below which a rung says nothing that could be seen."""


def rate_names(rungs: int) -> list[str]:
    """Returns under which names a tick tells the KL of each rung, top first."""
    return [f"rate_nats_{i}" for i in range(rungs)] if rungs > 1 else ["rate_nats"]


def active_names(rungs: int) -> list[str]:
    """Returns under which names a tick tells the active units of each rung, top first."""
    return [f"active_units_{i}" for i in range(rungs)] if rungs > 1 else ["active_units"]


class Silence:
    """Turns rates of ticks into a warning about rungs that have collapsed onto their priors.

    A rung is told once when its KL was never above `SILENT` nats for three ticks and a tenth of
    the training; and again only if it spoke in between.

    Args:
        shapes: ``(D, h, w)`` of the rungs, top first.
        training: how long, and how often it is told.
    """

    def __init__(self, shapes: list[tuple[int, int, int]], training: TrainingSettings) -> None:
        self.shapes = shapes
        self.window = max(3 * training.tick, training.images // 10)
        self.spoke = [0] * len(shapes)
        self.told: set[int] = set()

    def hear(self, line: dict[str, float]) -> str | None:
        """Takes in a tick's line of metrics; returns what is to be said, or None."""
        now, fallen = int(line["images"]), []
        for i, name in enumerate(rate_names(len(self.shapes))):
            if name not in line:
                continue  # a tick of nothing but broken steps
            if line[name] > SILENT:
                self.spoke[i] = now
                self.told.discard(i)
            elif now - self.spoke[i] >= self.window and i not in self.told:
                self.told.add(i)
                fallen.append(i)
        if not fallen:
            return None
        names = ", ".join(f"{i} ({self.shapes[i][1]}x{self.shapes[i][2]})" for i in fallen)
        several = len(fallen) > 1
        since = min(now - self.spoke[i] for i in fallen)
        return (
            f"careful: rung{'s' if several else ''} {names} never above {SILENT} nats for "
            f"{since:,} images: collapsed, {'they say' if several else 'it says'} nothing about a "
            f"picture; model.free_nats {SILENT}, a longer model.kl_warmup, a lower model.beta or "
            "model.kl_balance true may wake it, or model.pyramid do without"
        )


class RungWatch:
    """Counts the latents of each rung that pictures move. Leaves no trace in the training.

    Args:
        step: knows the model.
        data: pictures; held-out ones are looked at if there are any.
    """

    def __init__(self, step: Step, data: PictureData) -> None:
        self.step, self.data = step, data
        shown = data.held_out if len(data.held_out) > 1 else data.train
        self.shown = shown[:SHOWN] if step.vae.settings.stochastic else shown[:0]
        self.forget()

    def forget(self) -> None:
        """Begins anew, as if nothing had been heard."""
        self.silence = Silence(self.step.vae.latent_shapes, self.step.settings.training)

    def hear(self, line: dict[str, float]) -> str | None:
        """Takes in a tick's line of metrics; returns a warning, or None."""
        return self.silence.hear(line) if self.step.vae.settings.stochastic else None

    @torch.no_grad()
    def __call__(self) -> dict[str, int]:
        """Returns ``active_units`` (of a ladder ``active_units_0`` and so on, from the top).

        A latent is active where its posterior's mean, less its prior's, has a variance over
        pictures above 0.01 (Burda et al. 2016, arXiv 1509.00519, section 5.2). Nothing of an
        autoencoder, or of fewer than two pictures.
        """
        if len(self.shown) < 2:
            return {}
        training, vae = self.step.settings.training, self.step.vae
        # As many at a time as a step sees, which are known to fit.
        processes = self.step.accelerator.num_processes
        rows = training.batch_size // (training.accumulation * processes)
        parts = []
        for first in range(0, len(self.shown), rows):
            images, labels = self._pictures(first, rows)
            with self.step.accelerator.autocast():
                draw = FromPosterior(vae.features(images, labels), None)
                walk = vae.walk(draw, labels, len(images))
            # Without noise a latent is its posterior's mean.
            moved = [d.z if d.prior is None else d.z - d.prior.mean for d in walk.drawn]
            parts.append([z.flatten(1).float().cpu() for z in moved])
        means = [torch.cat(column) for column in zip(*parts, strict=True)]
        active = [int((z.var(0, correction=0) > ACTIVE).sum()) for z in means]
        return dict(zip(active_names(len(active)), active, strict=True))

    def _pictures(self, first: int, count: int) -> tuple[Tensor, Tensor | None]:
        chosen, device = self.shown[first : first + count], self.step.accelerator.device
        images = to_float(self.step.batches.pictures(chosen))
        if self.step.settings.data.binarize:
            rng = generator(self.step.settings.seed, "rungs", first)
            images = binarized(images, torch.rand(images.shape, generator=rng))
        images = images.to(device).contiguous(memory_format=torch.channels_last)
        if not self.step.vae.classes or self.data.labels is None:
            return images, None
        return images, torch.from_numpy(np.asarray(self.data.labels)[chosen]).to(device)
