"""The watch over the critic: does it know the training pictures by heart?

At ticks the critic is shown training pictures, held-out ones and fakes side by side. A critic that
learns what pictures look like takes the held-out ones for training pictures; one that learns the
training set by heart takes them for fakes (Karras et al. 2020, arXiv 2006.06676, figure 1). Nothing
here leaves a trace in the training: no gradient, no state of networks, no shared random numbers.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hiresvae.adversary.augment import Change
from hiresvae.adversary.losses import weighed
from hiresvae.data import PictureData
from hiresvae.images import binarized, to_float
from hiresvae.seeding import Noise, Shard, generator
from hiresvae.training.corruption import as_seen
from hiresvae.training.objective import Fakes, adversary_share
from hiresvae.training.step import Step

SHOWN = 64
"""Most pictures of a kind that are shown at a tick."""


class Alarm:
    """Turns figures of ticks into a warning: said once, and again each time that it gets worse.

    The critic counts as separating the two where, at `TICKS` ticks in succession, held-out
    pictures lie nearer to the fakes than ``LEVELS[0]`` of the way, and training pictures are ranked
    above held-out ones more often than chance would have it (twice the rank statistic's standard
    error). Each next level of `LEVELS` warns once more.

    Args:
        count: pictures of each kind at a tick.
    """

    TICKS = 3
    LEVELS = (0.5, 0.75, 1.0)

    def __init__(self, count: int) -> None:
        # Of 2 AUC - 1 for two samples of one source (Mann and Whitney 1947).
        self.chance = 2 * math.sqrt((2 * count + 1) / (3 * count**2))
        self.recent: list[float] = []
        self.said = 0

    @property
    def by_heart(self) -> bool:
        """Whether at the last tick held-out pictures lay nearer to made ones than to others."""
        return bool(self.recent) and self.recent[-1] >= self.LEVELS[0]

    def hear(self, line: dict[str, Any]) -> str | None:
        """Takes in a tick's line of metrics; returns what is to be said, or None.

        A line without figures tells nothing, and ends a succession: the critic has not begun, or
        not again after a training went back.
        """
        if "critic_sign_held_out" not in line:
            self.recent = []
            return None
        certain = line.get("critic_train_above_held_out", 0.0) > self.chance
        self.recent = [*self.recent, line.get("critic_r_v", 0.0) if certain else 0.0][-self.TICKS :]
        steady = min(self.recent) if len(self.recent) == self.TICKS else 0.0
        reached = sum(steady >= level for level in self.LEVELS)
        if reached <= self.said:
            return None
        again, self.said = self.said > 0, reached
        return (
            f"{'still worse' if again else 'careful'}: the critic tells training pictures from "
            f"held-out ones, which it places {min(steady, 9.99):.0%} of the way from training "
            "pictures to made ones; it learns the training set by heart, and the samples may soon "
            "get worse: more pictures help, or adversary.augment_probability 'adaptive' (1.0 if it "
            "is that), more kinds in adversary.augment, a larger adversary.gamma, a shorter "
            "training"
        )


class Watch:
    """Shows the critic training, held-out and made pictures.

    Args:
        step: knows the networks, and makes fakes as in training.
        data: pictures; some must be held out.
    """

    def __init__(self, step: Step, data: PictureData) -> None:
        self.step, self.data = step, data
        self.count = min(SHOWN, len(data.held_out), len(data.train))
        self.forget()

    def forget(self) -> None:
        """Begins anew, as if nothing had been heard."""
        self.alarm = Alarm(max(1, self.count))

    @torch.no_grad()
    def __call__(self, number: int) -> dict[str, float]:
        """Returns the figures after step ``number``; none before the critic's start.

        Row i of all three kinds is augmented alike, as often as in training.

        Returns:
            ``critic_sign_train`` and ``critic_sign_held_out``, from -1 to 1: mean sign of the
            logit, or where the loss is relativistic, of its difference to each fake's.
            ``critic_real_logit_train``, ``critic_real_logit_held_out`` and
            ``critic_fake_logit_watch``: mean logits. ``critic_train_above_held_out``: share of
            pairs where the training picture has the higher logit, mapped to [-1, 1].
            ``critic_r_v``: ``(D_train - D_held_out) / (D_train - D_made)``, 0 where held-out
            pictures are like training ones and 1 where they are like made ones; left out where the
            critic does not tell made ones.
        """
        step, chosen = self.step, self.step.settings.adversary
        share = step.schedule.share(number * step.settings.training.batch_size)
        if chosen is None or adversary_share(chosen, share) is None or not self.count:
            return {}
        assert step.networks.critic is not None and step.augment is not None
        critic = step.accelerator.unwrap_model(step.networks.critic)
        # No step has a number below 0, so no noise of the training's is seen here.
        device, rows = step.accelerator.device, Shard(self.count, 0, self.count)
        noise = Noise(step.settings.seed, -1 - number, rows, device)
        (train, seen, labels), (held_out, _, held_labels) = (
            self._pictures(part, number) for part in ("train", "held_out")
        )
        fakes = Fakes.of_rows(list(chosen.fakes), 0, self.count, device)
        change = Change.drawn(noise, chosen.augment, step.augment.value)
        with _resting(critic), _resting(step.vae), step.accelerator.autocast():
            made = fakes.mix(step._forward(train, labels, noise, fakes, step.vae, seen)).float()
            logits = [
                weighed(judged.logits, judged.weights)
                for judged in (
                    critic(change(images), shown)
                    for images, shown in ((train, labels), (held_out, held_labels), (made, labels))
                )
            ]
        return _figures(chosen.loss, *logits)

    def _pictures(self, part: str, number: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns pictures of a part, what the encoder sees of them, and labels if it sees any."""
        device = self.step.accelerator.device
        indices = self.data.train if part == "train" else self.data.held_out
        rng = generator(self.step.settings.seed, "watch", part, number)
        chosen = indices[torch.randperm(len(indices), generator=rng)[: self.count].numpy()]
        settings, batches = self.step.settings, self.step.batches
        images = to_float(batches.pictures(chosen))
        seen = to_float(as_seen(settings.corruption, batches, chosen, settings.seed))
        if settings.data.binarize:  # never with a corruption
            images = seen = binarized(images, torch.rand(images.shape, generator=rng))
        images, seen = (
            pictures.to(device).contiguous(memory_format=torch.channels_last)
            for pictures in (images, seen)
        )
        if not self.step.vae.classes or self.data.labels is None:
            return images, seen, None
        return images, seen, torch.from_numpy(np.asarray(self.data.labels)[chosen]).to(device)


def _figures(loss: str, train: Tensor, held_out: Tensor, made: Tensor) -> dict[str, float]:
    """Returns the figures of logits ``(n,)`` each."""

    def above(one: Tensor, other: Tensor) -> float:
        return torch.sign(one[:, None] - other[None]).mean().item()

    def sign(real: Tensor) -> float:
        if loss == "relativistic":
            return above(real, made)
        return torch.sign(real - (0.5 if loss == "least_squares" else 0.0)).mean().item()

    means = [float(logits.mean()) for logits in (train, held_out, made)]
    figures = {
        "critic_sign_train": sign(train),
        "critic_sign_held_out": sign(held_out),
        "critic_real_logit_train": means[0],
        "critic_real_logit_held_out": means[1],
        "critic_fake_logit_watch": means[2],
        "critic_train_above_held_out": above(train, held_out),
    }
    gap = means[0] - means[2]
    # A gap within rounding of the logits divides noise by nothing.
    if gap > 1e-3 * max(1.0, *map(abs, means)):
        figures["critic_r_v"] = (means[0] - means[1]) / gap
    if not all(math.isfinite(value) for value in figures.values()):
        return {}
    return {name: float(f"{value:.6g}") for name, value in figures.items()}


@contextmanager
def _resting(network: nn.Module) -> Iterator[None]:
    """Puts a network into evaluation for a moment: no layer may count this as a step."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
