"""The critic: a residual network over the whole picture."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hiresvae.blocks.layers import activate, conv, linear
from hiresvae.models.encoder import Trunk
from hiresvae.models.vae import widths_at
from hiresvae.pyramid import parse_pyramid
from hiresvae.settings import AdversarySettings

GROUP = 4
"""Pictures whose spread is compared: neighbours in the batch, so a split over processes in fours
sees the same groups."""


@dataclass(frozen=True)
class Judgement:
    """What the critic makes of pictures.

    Attributes:
        logits: ``(N, 1)``, higher is more real.
        features: by side, ``{side: (N, width, side, side)}``.
    """

    logits: Tensor
    features: dict[int, Tensor]


def spread(state: Tensor) -> Tensor:
    """Returns one map ``(N, 1, h, w)``: how much neighbouring pictures differ in their features.

    Lets the critic see a collapse to one picture (Karras et al. 2018, arXiv 1710.10196). Rows that
    fill no group of four are compared in one smaller group.
    """
    n, _, h, w = state.shape
    maps = []
    for first in range(0, n, GROUP):
        group = state[first : first + GROUP].float()
        deviation = (group.var(0, unbiased=False) + 1e-8).sqrt().mean()
        maps.append(deviation.expand(group.shape[0], 1, h, w))
    return torch.cat(maps).to(state.dtype)


class Discriminator(nn.Module):
    """Pictures ``(N, C, H, W)`` in [-1, 1] to logits and features; no normalisation anywhere.

    With labels the logit gains ``<embedding(label), features>`` (Miyato and Koyama 2018,
    arXiv 1802.05637), so that a wrong label lowers it.

    Args:
        settings: the section ``adversary``.
        size: side of the pictures.
        channels: 1 or 3.
        classes: number of labels, 0 for none.
    """

    def __init__(
        self, settings: AdversarySettings, *, size: int, channels: int, classes: int = 0
    ) -> None:
        super().__init__()
        self.size = size
        sides = [level.side for level in parse_pyramid("auto", size)[:0:-1]]
        widths = widths_at(sides, size, settings.width, settings.max_width)
        self.trunk = Trunk(sides, widths, channels, blocks=settings.blocks, attention=[])
        width = widths[-1]
        self.mix = conv(width + 1, width)
        self.flat = linear(width * sides[-1] ** 2, width)
        self.verdict = linear(width, 1, gain=0.5)
        self.table = nn.Embedding(classes, width) if classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Judgement:
        """Returns the judgement of images ``(N, C, H, W)`` with labels ``(N,)``."""
        features = self.trunk(images)
        state = activate(features[min(features)])
        state = activate(self.mix(torch.cat([state, spread(state)], dim=1)))
        vector = activate(self.flat(state.flatten(1)))
        logits = self.verdict(vector).float()
        if self.table is not None and labels is not None:
            match = (self.table(labels) * vector).sum(1, keepdim=True)
            logits = logits + match.float() / vector.shape[1] ** 0.5
        return Judgement(logits, features)
