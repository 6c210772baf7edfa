"""What a training step costs, found by doing small ones: bytes and seconds a picture."""

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from hiresvae.blocks.layers import channels_last
from hiresvae.data.batches import Batches
from hiresvae.seeding import generator
from hiresvae.settings import Settings
from hiresvae.training.optim import Average, make_optimizer
from hiresvae.training.peak import PeakMemory
from hiresvae.training.running_prior import RunningGaussian
from hiresvae.training.step import Networks, Step, Sums
from hiresvae.training.trainer import build

CPU = torch.device("cpu")
LARGE = 256
"""Above this side in px one small step tells enough: at 1024 px each picture takes 4.5 GB, beside
which gradients are nothing."""


@dataclass(frozen=True)
class Footprint:
    """The cost of a training step.

    Attributes:
        fixed: bytes whatever the batch: weights, gradients, moments, averages.
        each: bytes that each picture of the batch adds at the worst moment of forward and backward.
        seconds: a picture.
        after: bytes at the worst moment after these, to which no picture adds: when the weights
            move, and with many classes when the running fit is worked out anew.
    """

    fixed: float
    each: float
    seconds: float
    after: float = 0.0

    def memory(self, pictures: int) -> float:
        """Returns the bytes of a step that works off so many pictures at a time."""
        return max(self.after, self.fixed + self.each * pictures)


def footprint(
    settings: Settings, channels: int, classes: int, counts: tuple[int, ...] | None = None
) -> Footprint:
    """Returns the cost of a step with all networks at work, measured on this processor.

    The step is the training's own, on noise, with the critic's penalties and with what a tick
    measures; the adversary and its like work from the start.

    Args:
        settings: checked.
        channels: of the pictures.
        classes: number of labels, 0 for none.
        counts: pictures in the two steps, the larger last, or in a single one; None: as the side
            allows.
    """
    counts = counts or counts_at(settings.data.size)
    peaks = []
    for count in counts:
        with PeakMemory() as memory:
            do = SmallStep(settings, channels, classes, count)
            do.step.memory = memory
            for _ in range(2):  # the first makes the moments of Adam
                do(penalty=True, measure=True)
            do.step.memory = None
        peaks.append(do.step.peak)
    if len(counts) > 1:
        each = (peaks[1] - peaks[0]) / (counts[1] - counts[0])
    else:
        each = (peaks[0] - memory.live) / counts[0]
    adversary, seconds = settings.adversary, _seconds(do, penalty=False)
    if adversary is not None and adversary.gamma:
        heavy = _seconds(do, penalty=True)
        seconds += (heavy - seconds) / adversary.penalty_every
    return Footprint(peaks[0] - each * counts[0], each, seconds / counts[-1], do.step.after)


def counts_at(side: int) -> tuple[int, ...]:
    """Returns of how many pictures the small steps are; the difference is what pictures cost.

    Never one picture: the critic sees a sample in every other row. Of small pictures more, or what
    is there at the worst moment would be the gradients of all weights and no pictures. Where there
    is one step alone, what is there at the worst moment and not between steps counts as theirs.

    Args:
        side: of the pictures, in pixels.

    Example:
        >>> counts_at(32), counts_at(256), counts_at(512)
        ((8, 16), (2, 4), (2,))
    """
    few = 2 * min(4, max(1, 128 // side))
    return (few, 2 * few) if side <= LARGE else (few,)


def _seconds(do: "SmallStep", *, penalty: bool) -> float:
    begun = time.perf_counter()
    do(penalty=penalty)
    return time.perf_counter() - begun


class SmallStep:
    """A whole training step on some pictures, with all networks at work.

    Args:
        settings: checked.
        channels: of the pictures.
        classes: number of labels, 0 for none.
        count: pictures in a step.
        device: where it is done.
        batches: gives the pictures and labels; None: noise.

    Attributes:
        step: the training's own.
        average: of the model's weights.
    """

    def __init__(
        self,
        settings: Settings,
        channels: int,
        classes: int,
        count: int,
        device: torch.device = CPU,
        batches: Batches | None = None,
    ) -> None:
        chosen = _at_work(settings, count)
        vae, critic = build(chosen, channels, classes if settings.model.conditional else 0)
        vae.to(device).in_fast_order()
        self.average = Average(vae, chosen.training.ema_images)
        training, adversary = chosen.training, chosen.adversary
        networks = Networks(vae, make_optimizer(vae, training.lr, training.betas))
        if critic is not None and adversary is not None:
            channels_last(critic.to(device))
            networks.critic = critic
            networks.critic_optimizer = make_optimizer(critic, adversary.lr, adversary.betas)
        running = RunningGaussian(
            vae.top_dim, chosen.prior.decay_images, num_classes=max(1, vae.classes)
        )
        noise = cast(Batches, _Noise(channels, chosen.data.size, max(1, classes), device))
        alone = cast(Accelerator, _Alone(device, half=training.precision != "no"))
        self.step = _Step(chosen, networks, batches or noise, running.to(device), alone)
        self._count = count
        self._every = adversary.penalty_every if adversary is not None else 1

    def __call__(self, *, penalty: bool, measure: bool = False) -> dict[str, Tensor]:
        """Does a step and returns what it tells.

        Args:
            penalty: whether gradient penalties are due.
            measure: whether it measures as at a tick.
        """
        told = self.step(0 if penalty or self._every == 1 else 1, measure=measure)
        self.average.update(self.step.vae, self._count, self._count)
        return told


class _Step(Step):
    """The training's own step, whose memory is counted before and after the weights move.

    Attributes:
        memory: counts; its peak begins again each time. None: nobody counts.
        peak: bytes at the worst moment of the last step's forward and backward.
        after: bytes at the worst moment after those of any step.
    """

    memory: PeakMemory | None = None
    peak = after = 0

    def _advance(self, means: dict[str, Tensor], sums: list[Sums]) -> dict[str, Tensor]:
        if self.memory is None:
            return super()._advance(means, sums)
        self.peak, self.memory.peak = self.memory.peak, self.memory.live
        told = super()._advance(means, sums)
        self.after, self.memory.peak = max(self.after, self.memory.peak), self.memory.live
        return told


def _at_work(settings: Settings, count: int) -> Settings:
    """Returns the settings of a small step in which everything already works."""
    at_once = {"start": 0.0, "warmup": 0.0, "ramp": 0.0}
    changes: dict[str, Any] = {
        "training": settings.training.model_copy(update={"batch_size": count, "accumulation": 1})
    }
    if settings.adversary is not None:
        changes["adversary"] = settings.adversary.model_copy(update=at_once)
    if settings.introspective is not None:
        changes["introspective"] = settings.introspective.model_copy(
            update={"start": 0.0, "ramp": 0.0}
        )
    return settings.model_copy(update=changes)


class _Noise:
    """Pictures of noise in place of a data set."""

    def __init__(self, channels: int, size: int, classes: int, device: torch.device) -> None:
        self.shape, self.classes, self.device = (channels, size, size), classes, device

    def batch(self, start: int, count: int) -> tuple[Tensor, Tensor]:
        """Returns pictures ``(count, C, S, S)`` in [-1, 1] and labels ``(count,)``."""
        images = torch.rand(count, *self.shape, generator=generator(0, "footprint", start))
        labels = torch.arange(count) % self.classes
        return images.mul_(2).sub_(1).to(self.device), labels.to(self.device)

    def inputs(self, start: int, count: int) -> Tensor:
        """Returns what the encoder sees where pictures come in pairs, as `batch`."""
        return self.batch(start + count, count)[0]


class _Alone:
    """What a step asks of an Accelerator, for one process; no state stays behind."""

    num_processes, process_index, scaler = 1, 0, None

    def __init__(self, device: torch.device, *, half: bool) -> None:
        self.device, self.half = device, half

    def autocast(self) -> AbstractContextManager[Any]:
        """Returns a context in which networks run in their precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    def unwrap_model(self, network: nn.Module) -> nn.Module:
        """Returns the network: it was never wrapped."""
        return network

    def backward(self, loss: Tensor, **chosen: Any) -> None:
        """Adds the gradients of a loss."""
        loss.backward(**chosen)

    def reduce(self, value: Tensor, kind: str) -> Tensor:
        """Returns the value: there is no other process."""
        return value
