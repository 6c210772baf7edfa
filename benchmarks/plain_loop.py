"""A training step as textbooks write it, on the same networks: what the package is held against.

The memory format and the optimiser are those that PyTorch takes by itself, nothing is averaged, and
the critic judges twice: once for itself, once more, when it has learned, for the model.
"""

import math
from collections.abc import Callable

import torch
from clocks import Clock, Work
from torch import Tensor

from hiresvae.adversary.adversary import Adversary
from hiresvae.seeding import Noise, Shard
from hiresvae.settings import Settings
from hiresvae.training.objective import Fakes, bound_loss
from hiresvae.training.trainer import build

CLASSES = 8
"""Labels of a conditional model whose pictures are noise."""
STEP, PENALTY = "step", ", penalty"


def plain_training(settings: Settings, device: str) -> Callable[[], "PlainTraining"]:
    """Returns what makes the networks of such a step; its pictures are made at once."""
    side = settings.data.size
    pictures = torch.rand(4 * settings.training.batch_size, 3, side, side) * 2 - 1
    return lambda: PlainTraining(settings, device, pictures)


class PlainTraining(Work):
    """Such a step, with and without penalties where some are due.

    Args:
        settings: of the run.
        device: where.
        pictures: to draw batches from, ``(M, 3, S, S)`` in [-1, 1].
    """

    def __init__(self, settings: Settings, device: str, pictures: Tensor) -> None:
        self.batch, self._device, self._pictures = settings.training.batch_size, device, pictures
        self._classes = CLASSES if settings.model.conditional else 0
        model, self._critic = build(settings, 3, self._classes)
        self._model, adversary = model, settings.adversary
        networks = [part.to(device) for part in (model, self._critic) if part is not None]
        rate = settings.training.lr
        self._optimizers = [torch.optim.Adam(part.parameters(), rate) for part in networks]
        self.parameters = sum(p.numel() for part in networks for p in part.parameters())
        self._adversary = Adversary(adversary) if adversary else None
        self._every = adversary.penalty_every if adversary and adversary.gamma else 0
        self._number = 0

    def once(self, clock: Clock) -> None:
        """Does a step, and another with penalties where not all have some."""
        with clock(STEP):
            self._step(penalty=self._every == 1)
        if self._every > 1:
            with clock(STEP + PENALTY):
                self._step(penalty=True)

    def worst(self, clock: Clock) -> None:
        """Does a step with penalties, where there are some."""
        self._step(penalty=self._every > 0)

    def phases(self, medians: dict[str, float]) -> dict[str, float]:
        """Returns the step, and what penalties add to it on average."""
        light = medians[STEP]
        heavy = medians.get(STEP + PENALTY)
        if heavy is None:
            return {STEP: light}
        return {STEP: light, "penalty, its share of a step": (heavy - light) / self._every}

    def _step(self, *, penalty: bool) -> None:
        batch, device, number = self.batch, torch.device(self._device), self._number
        self._number += 1
        noise = Noise(0, number, Shard(batch, 0, batch), device)
        images = self._pictures[torch.randint(0, len(self._pictures), (batch,))].to(device)
        labels = None
        if self._classes:
            labels = torch.randint(0, self._classes, (batch,), device=device)
        adversary, critic = self._adversary, self._critic
        if adversary is None or critic is None:
            outputs = self._model(images, labels, noise=noise.normal)
            bound_loss(outputs, images[0].numel(), 1.0, 0.0).backward()
        else:
            fakes = Fakes.of_rows(list(adversary.settings.fakes), 0, batch, images.device)
            dim = math.prod(self._model.latent_shapes[0])
            top = torch.randn(len(fakes.sampled), dim, device=device)
            top_labels = None if labels is None else labels[fakes.sampled]
            outputs = self._model(
                images, labels, noise=noise.normal, top=top, top_labels=top_labels
            )
            mixed = fakes.mix(outputs)
            given = {"paired": fakes.paired, "noise": noise}
            verdict = adversary.judge(
                critic, images, mixed.detach(), labels, penalty=penalty, **given
            )
            adversary.critic_loss(verdict).backward(inputs=list(critic.parameters()))
            self._optimizers[1].step()
            self._optimizers[1].zero_grad()
            again = adversary.judge(critic, images, mixed.detach(), labels, penalty=False, **given)
            (push,) = torch.autograd.grad(adversary.model_loss(again, 1.0), again.fakes)
            loss = bound_loss(outputs, images[0].numel(), 1.0, 0.0)
            (loss + (mixed * push).sum()).backward()
        self._optimizers[0].step()
        self._optimizers[0].zero_grad()
