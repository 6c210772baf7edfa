"""Where the time of a training step goes, as a table.

Usage:
    python benchmarks/step.py configs/monet_cvaegan.yaml --set data.size=64
"""

import argparse
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from clocks import Clock, Work
from torch import Tensor

from hiresvae.configuration import load_settings
from hiresvae.data import PictureData
from hiresvae.data.batches import Batches
from hiresvae.devices import shortened_products
from hiresvae.run import MetricsFile
from hiresvae.seeding import Noise, Shard
from hiresvae.settings import Settings
from hiresvae.training.footprint import SmallStep
from hiresvae.training.objective import Fakes, bound_loss
from hiresvae.training.push import Push
from hiresvae.training.rungs import RungWatch
from hiresvae.training.step import Step
from hiresvae.training.watch import Watch

REPEATS = 9
MOST_PIXELS = 1 << 25
"""Of the pictures that batches are drawn from; a thousand of 1024 px would be 3 GB."""
CLASSES = 8
"""Labels of a conditional model."""
WHOLE, CRITIC = "whole step", "critic forward and backward"
AGAIN = "second decode, for the decoder alone"
PENALTY, MEASURED, TOLD = ", penalty", ", measured", "tick"


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    settings = load_settings(arguments.config, arguments.set)
    rows = measure(settings)
    total = sum(rows.values())
    batch = settings.training.batch_size
    print(
        f"{settings.name}, {settings.data.size} px, batch {batch}, "
        f"{torch.get_num_threads()} threads"
    )
    for name, seconds in rows.items():
        print(f"{name:34s} {1000 * seconds:8.1f} ms {100 * seconds / total:5.1f} %")
    print(f"{'step':34s} {1000 * total:8.1f} ms {batch / total:8.1f} images/s")


def noise_pictures(settings: Settings) -> PictureData:
    """Returns noise in place of a data set, a tenth of it held out."""
    batch, side = settings.training.batch_size, settings.data.size
    count = min(1000, max(2 * batch, MOST_PIXELS // side**2))
    pictures = np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    labelled = settings.model.conditional
    return PictureData(
        pictures=pictures,
        labels=np.arange(count) % CLASSES if labelled else None,
        classes=tuple(map(str, range(CLASSES))) if labelled else (),
        names=(),
        train=np.arange(count - count // 10),
        held_out=np.arange(count - count // 10, count),
        report=cast(Any, None),  # nobody asks where noise came from
        inputs=None if settings.inputs is None else pictures,
    )


def measure(
    settings: Settings, clock: Clock | None = None, repeats: int = REPEATS, *, tick: bool = True
) -> dict[str, float]:
    """Returns median seconds of each phase of a step, see `Training.phases`.

    Args:
        settings: of the run.
        clock: what measures; another one may count something else than seconds.
        repeats: of the step; of three or more the first two do not count.
        tick: whether to do what a tick adds, too.
    """
    clock = clock or Clock()
    work = training(settings, clock.device)()
    for _ in range(repeats):
        work.once(clock)
    if tick:
        work.closing(clock)
    return work.phases(clock.medians(leave=2))


def training(settings: Settings, device: str) -> Callable[[], "Training"]:
    """Returns what makes the networks of a training step; its pictures are made at once."""
    data = noise_pictures(settings)
    batches = Batches(
        data, size=settings.data.size, mirror=settings.data.mirror, crop="center",
        seed=settings.seed, device=device, device_cache=settings.data.device_cache,
    )  # fmt: skip
    return lambda: Training(settings, torch.device(device), data, batches)


class Training(Work):
    """A training step: the training's own as a whole, in turn with its heavy parts on their own.

    Args:
        settings: of the run.
        device: where.
        data: pictures; some must be held out.
        batches: of them.
    """

    def __init__(
        self, settings: Settings, device: torch.device, data: PictureData, batches: Batches
    ) -> None:
        classes = CLASSES if settings.model.conditional else 0
        self.batch = settings.training.batch_size
        self.whole = SmallStep(settings, 3, classes, self.batch, device, batches)
        networks = self.whole.step.networks
        parts = [part for part in (networks.model, networks.critic) if part is not None]
        self.parameters = sum(p.numel() for part in parts for p in part.parameters())
        adversary = settings.adversary
        self._every = adversary.penalty_every if adversary is not None and adversary.gamma else 0
        self._data, self._device, self._number = data, device, 0

    def once(self, clock: Clock) -> None:
        """Does a step, one with penalties where some are due, and the parts."""
        with shortened_products(self._device):
            with clock(WHOLE):
                self.whole(penalty=False)
            if self._every:
                with clock(WHOLE + PENALTY):
                    self.whole(penalty=True)
            _parts(self.whole, self._number, clock)
        self._number += 1

    def worst(self, clock: Clock) -> None:
        """Does the step of a tick, with penalties."""
        with shortened_products(self._device):
            self.whole(penalty=True, measure=True)

    def closing(self, clock: Clock) -> None:
        """Does what a tick adds."""
        with shortened_products(self._device):
            _tick(self.whole, self._data, clock)

    def phases(self, medians: dict[str, float]) -> dict[str, float]:
        """Returns each phase's share of the whole step, to which they add up.

        What the parts leave of it is the last row but one, or the last where nothing was told.
        """
        medians = dict(medians)
        total = medians.pop(WHOLE)
        logging = medians.pop(WHOLE + MEASURED, total) - total + medians.pop(TOLD, 0.0)
        # The model's forward holds the encoder's; the table shows the decoder's and the loss alone.
        forward = medians.pop("model forward") - medians["encoder forward"]
        medians["decoder forward and loss"] = forward
        if self._every:
            extra = medians.pop(CRITIC + PENALTY) - medians[CRITIC]
            medians["penalty, its share of a step"] = extra / self._every
            total += (medians.pop(WHOLE + PENALTY) - total) / self._every
        medians["guard, running means, all else"] = total - sum(medians.values())
        steps = _steps_a_tick(self.whole.step.settings)
        medians["logging, its share of a step"] = max(0.0, logging) / steps
        return medians


def _parts(whole: SmallStep, number: int, clock: Clock) -> None:
    """Does the heavy parts of a step, each on its own, with the networks of the whole one."""
    step, networks = whole.step, whole.step.networks
    chosen, device = step.settings, step.accelerator.device
    batch = chosen.training.batch_size
    noise = Noise(chosen.seed, number, Shard(batch, 0, batch), device)
    with clock("data"):
        images, labels = step.batches.batch(number * batch, batch)
        images = images.contiguous(memory_format=torch.channels_last)
    fakes = None
    if chosen.adversary is not None:
        fakes = Fakes.of_rows(list(chosen.adversary.fakes), 0, batch, device)
    with clock("encoder forward"), step.accelerator.autocast():
        step.vae.features(images, labels)
    with clock("model forward"):
        with step.accelerator.autocast():
            outputs = step._forward(images, labels, noise, fakes)
        loss = bound_loss(outputs, step.dims, 1.0, 0.0)
    if fakes is not None:
        mixed = fakes.mix(outputs).float()
        push = _critic_phase(step, images, mixed, labels, fakes, noise, clock)
        again = push.decoder is not None
        with clock(AGAIN) if again else nullcontext(), step.accelerator.autocast():
            loss = loss + push.felt(mixed, step.vae, outputs, labels, fakes, noise)
    with clock("model backward"):
        loss.backward()
    with clock("model optimiser"):
        networks.model_optimizer.step()
        networks.model_optimizer.zero_grad()
    with clock("average"):
        whole.average.update(step.vae, 1000 * batch, batch)


def _critic_phase(
    step: Step,
    images: Tensor,
    mixed: Tensor,
    labels: Tensor | None,
    fakes: Fakes,
    noise: Noise,
    clock: Clock,
) -> Push:
    """Runs the critic with and without penalty; returns its gradient at the fakes."""
    critic, optimizer, adversary = (
        step.networks.critic,
        step.networks.critic_optimizer,
        step.adversary,
    )
    assert critic is not None and optimizer is not None and adversary is not None
    for penalty in (True, False) if adversary.settings.gamma else (False,):
        with clock(CRITIC + PENALTY * penalty):
            # As in training: with penalties in float32.
            with nullcontext() if penalty else step.accelerator.autocast():
                verdict = adversary.judge(
                    critic, images, mixed, labels, paired=fakes.paired, noise=noise, penalty=penalty
                )
            loss = adversary.critic_loss(verdict)
            loss.backward(retain_graph=True, inputs=list(critic.parameters()))
    with clock("critic's gradient at the fakes"):
        push = Push.of(adversary, verdict, 1.0)
    with clock("critic optimiser"):
        optimizer.step()
        optimizer.zero_grad()
    return push


def _tick(whole: SmallStep, data: PictureData, clock: Clock) -> None:
    """Does a step that measures, and tells it."""
    step = whole.step
    watch, rungs, steps = Watch(step, data), RungWatch(step, data), _steps_a_tick(step.settings)
    with clock(WHOLE + MEASURED):
        means = whole(penalty=False, measure=True)
    with tempfile.TemporaryDirectory() as folder, clock(TOLD):
        values = torch.stack(
            [torch.stack([mean.float()] * steps).mean() for mean in means.values()]
        )
        line = dict(zip(means, values.tolist(), strict=True)) | watch(1) | rungs()
        MetricsFile(Path(folder) / "metrics.jsonl").append({"images": 0, **line})


def _steps_a_tick(settings: Settings) -> int:
    return max(1, settings.training.tick // settings.training.batch_size)


if __name__ == "__main__":
    main()
