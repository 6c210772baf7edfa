"""Which rungs are excused by free nats: decided by the whole batch, however it is split.

A rung is excused while its mean rate lies below ``model.free_nats``. Were each part of a batch to
decide by its own rows, parts and processes would together give another gradient than one large
batch. So the mean is that of all rows, exactly: of several processes it is taken between forward
and backward, and of several parts, whose graphs are never in memory together, it is known from a
forward without gradients before the first of them (a third more time, with free nats and
accumulation alone). Noise is a function of seed, step and row, so that forward draws the same.
"""

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor

from hiresvae.data.batches import Batches
from hiresvae.models.vae import VAE
from hiresvae.seeding import Noise
from hiresvae.settings import Settings
from hiresvae.training.shown import shown


class FreeNats:
    """The mean rates of whole batches.

    Args:
        settings: of the run.
        vae: the model, not wrapped: no gradient passes here.
        batches: the order of pictures.
        accelerator: precision and processes.
    """

    def __init__(
        self, settings: Settings, vae: VAE, batches: Batches, accelerator: Accelerator
    ) -> None:
        self.settings, self.vae = settings, vae
        self.batches, self.accelerator = batches, accelerator
        self.asked = settings.model.free_nats > 0

    def mean_rate(self, rates: Sequence[Tensor]) -> Tensor | None:
        """Returns each rung's mean rate over the batch ``(L,)``, the same on every process.

        Args:
            rates: nats ``(N, L)`` of each part of this process's rows.

        Returns:
            None where nobody asks, or where these rows are the batch.
        """
        processes = self.accelerator.num_processes
        if not self.asked or processes * len(rates) == 1:
            return None
        mean = torch.stack([rate.detach().float().mean(0) for rate in rates]).mean(0)
        return self.accelerator.reduce(mean, "mean") if processes > 1 else mean

    @torch.no_grad()
    def foreseen(self, parts: Sequence[Noise]) -> Tensor | None:
        """Returns `mean_rate` before any part is worked off; None also where there is one part.

        Args:
            parts: numbers of the step for each part of this process's rows.
        """
        if not self.asked or len(parts) == 1:
            return None
        rates = []
        for noise in parts:
            rows = shown(self.settings, self.batches, noise, bool(self.vae.classes))
            with self.accelerator.autocast():
                outputs = self.vae(rows.images, rows.labels, noise=noise.normal, seen=rows.seen)
            rates.append(outputs.rate)
        return self.mean_rate(rates)
