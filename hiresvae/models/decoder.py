"""The top-down walk, written once: coarse to fine, asking a draw for the latent of every rung."""

from collections import deque
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from hiresvae.blocks.attention import Attention
from hiresvae.blocks.layers import activate, conv, linear, unit
from hiresvae.blocks.resample import FromVector, Up
from hiresvae.blocks.residual import residuals
from hiresvae.blocks.staged import Staged
from hiresvae.models.contract import Draw, Drawn, NormalNoise, Walk
from hiresvae.models.latent import GaussianRung, Merge
from hiresvae.seeding import generator


class Grain(nn.Module):
    """Adds one map of noise, with a strength for each channel, to ``(N, C, side, side)``.

    Texture is random, and a latent vector has better things to say. Without noise a decoder that
    an adversary asks for texture paints one pattern at one place into every picture, and needs
    thousands of steps to leave it (Karras et al. 2019, arXiv 1812.04948, section 3.2).
    """

    still: Tensor

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.shape = (1, side, side)
        self.strength = nn.Parameter(torch.full((1, channels, 1, 1), 0.1))
        still = torch.randn(1, *self.shape, generator=generator(0, "grain", side))
        self.register_buffer("still", still, persistent=False)

    def forward(self, state: Tensor, noise: NormalNoise | None) -> Tensor:
        """Returns the state with noise; None gives every picture the same, for repeatable ones."""
        side = self.shape[1]
        numbers = self.still if noise is None else noise(f"grain {side}", *self.shape)
        return torch.addcmul(state, self.strength, numbers.to(state.dtype))


class Decoder(Staged):
    """Latents to the channels that the likelihood reads.

    Where the pyramid begins with a vector, the vector also becomes part of the condition of all
    finer sides, so that what is global reaches every scale directly.

    Args:
        levels: ``(side, rungs)`` from coarse to fine.
        widths: channels at each side.
        outputs: channels that the likelihood reads.
        top_dim: latent channels of the top rung.
        rung_dim: latent channels of every other rung.
        blocks: residual blocks at each side above 1.
        attention: sides with self-attention.
        condition_dim: length of the condition.
        labelled: whether a condition comes from outside.
        grain: whether noise is added at every side above 1.
        merge: how posteriors join prior and picture.
    """

    def __init__(
        self,
        levels: list[tuple[int, int]],
        widths: list[int],
        outputs: int,
        *,
        top_dim: int,
        rung_dim: int,
        blocks: int,
        attention: list[int],
        condition_dim: int,
        labelled: bool,
        grain: bool = False,
        merge: Merge = "residual",
    ) -> None:
        super().__init__()
        (side, _), width = levels[0], widths[0]
        self.start = nn.Parameter(torch.zeros(1, width, side, side))
        self.style = linear(width, condition_dim) if side == 1 else None
        steered = condition_dim if labelled or side == 1 else 0
        self.label_at_start = (
            linear(condition_dim, width, gain=0) if labelled and side == 1 else None
        )
        self.passages = nn.ModuleList()
        self.blocks = nn.ModuleList()
        self.rungs = nn.ModuleList()
        self.grains = nn.ModuleList()
        first, dim, total = True, top_dim, sum(rungs for _, rungs in levels)
        for i, ((side, rungs), width) in enumerate(zip(levels, widths, strict=True)):
            if i > 0:
                passage = (
                    FromVector(widths[i - 1], width, side, steered)
                    if levels[i - 1][0] == 1
                    else Up(widths[i - 1], width, levels[i - 1][0], steered)
                )
                self.passages.append(passage)
                if grain:
                    self.grains.append(Grain(width, side))
            stage = residuals(width, blocks if side > 1 else 0)
            if side in attention:
                stage.append(Attention(width))
            self.blocks.append(stage)
            here = nn.ModuleList()
            for _ in range(rungs):
                here.append(
                    GaussianRung(side, width, width, dim, first=first, merge=merge, rungs=total)
                )
                first, dim = False, rung_dim
            self.rungs.append(here)
        self.head = conv(widths[-1], outputs, gain=0.3)

    @property
    def rung_list(self) -> list[GaussianRung]:
        """All rungs, top first."""
        return [rung for rungs in self._rungs_by_side for rung in rungs]

    @property
    def _rungs_by_side(self) -> list[list[GaussianRung]]:
        return [cast(list[GaussianRung], list(cast(nn.ModuleList, here))) for here in self.rungs]

    def forward(
        self,
        draw: Draw,
        condition: Tensor | None,
        count: int,
        grain: NormalNoise | None = None,
    ) -> Walk:
        """Returns what the likelihood reads, ``(count, outputs, H, W)``, and what was drawn.

        Args:
            draw: decides the latent of every rung.
            condition: ``(count, E)`` or None.
            count: rows of the batch.
            grain: noise of the texture; None gives every picture the same.
        """
        # Of the states only the last is kept.
        state, drawn = deque(self._descend(draw, condition, count, grain), maxlen=1).pop()
        return Walk(self.head(activate(state)), drawn)

    def top(self, draw: Draw, condition: Tensor | None, count: int, rungs: int) -> list[Drawn]:
        """Returns what the first rungs draw; the walk ends there."""
        for _, drawn in self._descend(draw, condition, count, None):
            if len(drawn) >= rungs:
                break
        return drawn[:rungs]

    def _descend(
        self, draw: Draw, condition: Tensor | None, count: int, grain: NormalNoise | None
    ) -> Iterator[tuple[Tensor, list[Drawn]]]:
        """Yields the state after each side, and what was drawn so far."""
        state = self.start.expand(count, -1, -1, -1)
        if self.label_at_start is not None and condition is not None:
            state = state + self.label_at_start(condition)[:, :, None, None]
        drawn: list[Drawn] = []
        for i, rungs in enumerate(self._rungs_by_side):
            state, found = self.stage(
                self._side, i, rungs, len(drawn), state, condition, draw, grain
            )
            drawn += found
            if i == 0 and self.style is not None:
                state = unit(state)
                style = self.style(activate(state).flatten(1))
                condition = style if condition is None else condition + style
            yield state, drawn

    def _side(
        self,
        i: int,
        rungs: list[GaussianRung],
        number: int,
        state: Tensor,
        condition: Tensor | None,
        draw: Draw,
        grain: NormalNoise | None,
    ) -> tuple[Tensor, list[Drawn]]:
        """Returns the state after side ``i``, and what its rungs drew, from rung ``number`` on."""
        if i > 0:
            state = self.passages[i - 1](state, condition)
            if self.grains:
                state = self.grains[i - 1](state, grain)
        state = self.blocks[i](state)
        drawn: list[Drawn] = []
        for rung in rungs:
            drawn.append(draw(number + len(drawn), rung, state))
            state = rung.inject(state, drawn[-1].z)
        return state, drawn
