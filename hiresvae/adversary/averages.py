"""Running means of what the critic makes of real and of made pictures, the same on every process.

One batch holds few pictures of a class, and a process fewer. So means are kept as sums that fade:
the sums of all processes and all parts of a batch are added up at the end of a step, and the next
step looks at them. What a row is pushed towards then depends on no other row of its batch, and any
split of the batch gives the same.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.discriminator import Discriminator

LEAST = 0.5
"""Pictures that must be left of a class, after fading, for its mean to count."""


class RunningMeans(nn.Module):
    """Means of vectors of real and of made pictures, by class.

    Keeps sums and counts that fade with a half-life in images; their ratio needs no bias
    correction. All state is in one buffer; nothing synchronises with the device.

    Args:
        dim: E, length of the vectors.
        half_life: images after which an observation counts half.
        num_classes: K, 1 for no classes.
    """

    totals: Tensor

    def __init__(self, dim: int, half_life: float, num_classes: int = 1) -> None:
        super().__init__()
        self.half_life = half_life
        self.register_buffer("totals", torch.zeros(2, num_classes, dim + 1))

    def sums(
        self, real: Tensor, fake: Tensor, labels: Tensor | None = None, chosen: Tensor | None = None
    ) -> Tensor:
        """Returns what `observe` takes, of these rows; add those of parts and processes up.

        Args:
            real: ``(n, E)``.
            fake: ``(n, E)``.
            labels: int64 ``(n,)`` of both; needed if K > 1.
            chosen: bool ``(n,)``, the fakes that count; None for all.

        Returns:
            ``(2, K, E + 1)``: sums of real, of fake; the last column counts rows.
        """
        if labels is None:
            labels = torch.zeros(len(real), dtype=torch.int64, device=real.device)
        members = one_hot(labels, self.totals.shape[1]).float()
        counted = members if chosen is None else members * chosen[:, None]
        both = []
        for rows, own in ((real, members), (fake, counted)):
            with torch.autocast(rows.device.type, enabled=False):
                rows = torch.cat([rows.detach().float(), rows.new_ones(len(rows), 1).float()], 1)
                both.append(own.T @ rows)
        return torch.stack(both)

    @torch.no_grad()
    def observe(self, sums: Tensor, images: int) -> None:
        """Takes in one step's global `sums`; sums that are not finite change nothing.

        Args:
            sums: ``(2, K, E + 1)``.
            images: pictures in the step, over all processes.
        """
        fade = 0.5 ** (images / self.half_life)
        self.totals.copy_(
            torch.where(torch.isfinite(sums).all(), self.totals * fade + sums, self.totals)
        )

    def means(self) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the means of real and of fake ``(K, E)``, and which have both ``(K,)``."""
        counts = self.totals[..., -1]
        real, fake = self.totals[..., :-1] / counts.clamp_min(LEAST)[..., None]
        return real, fake, (counts >= LEAST).all(0)

    def gap(self) -> Tensor:
        """Returns how far the fakes' means are off, fake minus real ``(K, E)``; 0 if not known."""
        real, fake, known = self.means()
        return (fake - real) * known[:, None]


class Averages(nn.Module):
    """The running means that the settings ask for.

    Args:
        settings: the section ``adversary``.
        critic: the discriminator, not wrapped.

    Attributes:
        logits: mean logits, for LeCam.
        features: means of the critic's last features, for ``mean_matching``.
        classes: means of the classifier's features by class, for ``class_mean_matching``.
    """

    def __init__(self, settings: AdversarySettings, critic: Discriminator) -> None:
        super().__init__()
        half_life = settings.average_images
        self.logits = RunningMeans(1, half_life) if settings.lecam else None
        self.features = self.classes = None
        if settings.mean_matching:
            self.features = RunningMeans(critic.embedding_dim, half_life)
        if settings.class_mean_matching:
            self.classes = RunningMeans(critic.class_dim, half_life, critic.classes)

    @property
    def kept(self) -> list[RunningMeans]:
        """Those that there are, always in the same order."""
        return [m for m in (self.logits, self.features, self.classes) if m is not None]

    def observe(self, sums: Sequence[Tensor], images: int) -> None:
        """Takes in one step's global sums, in the order of `kept`."""
        for means, total in zip(self.kept, sums, strict=True):
            means.observe(total, images)
