"""Two older backbones behind the same contract: fully connected, and three plain convolutions.

Both have one vector rung on top; they exist to repeat classic lessons and for tiny pictures.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from hiresvae.blocks.layers import SLOPE, activate, linear, start
from hiresvae.models.contract import Draw, Walk
from hiresvae.models.latent import GaussianRung


class OneVectorDecoder(nn.Module):
    """A decoder with one vector rung; ``rest`` turns a vector into what the likelihood reads.

    Args:
        width: length of the vector that the latent is written to.
        top_dim: length of the latent.
        condition_dim: length of the condition, 0 for none.
        rest: ``(N, width) -> (N, outputs, H, W)`` up to its last layer, which is ``head``.
        head: the last layer.
        fold: shape ``(outputs, H, W)`` to give to the head's result.
    """

    def __init__(
        self,
        width: int,
        top_dim: int,
        condition_dim: int,
        rest: nn.Module,
        head: nn.Module,
        fold: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.width, self.fold = width, fold
        self.rung = GaussianRung(1, width, width, top_dim, first=True)
        self.steer = linear(condition_dim, width) if condition_dim else None
        self.rest, self.head = rest, head

    @property
    def rung_list(self) -> list[GaussianRung]:
        """The one rung."""
        return [self.rung]

    def forward(self, draw: Draw, condition: Tensor | None, count: int) -> Walk:
        """Returns the walk over the one rung; see the pyramid's decoder for the arguments."""
        state = self.rung.write.weight.new_zeros(count, self.width, 1, 1)
        if self.steer is not None and condition is not None:
            state = state + self.steer(condition)[:, :, None, None]
        drawn = draw(0, self.rung, state)
        state = self.rung.inject(state, drawn.z)
        head = self.head(self.rest(activate(state).flatten(1)))
        return Walk(head.unflatten(1, self.fold) if head.ndim == 2 else head, [drawn])


class DenseEncoder(nn.Module):
    """Layers of the given sizes over all pixels: ``(N, C, S, S) -> {1: (N, sizes[-1], 1, 1)}``."""

    def __init__(self, channels: int, size: int, sizes: list[int], condition_dim: int) -> None:
        super().__init__()
        inputs = [channels * size**2 + condition_dim, *sizes[:-1]]
        self.layers = nn.ModuleList(linear(a, b) for a, b in zip(inputs, sizes, strict=True))

    def forward(self, images: Tensor, condition: Tensor | None = None) -> dict[int, Tensor]:
        """Returns the one feature vector."""
        state = images.flatten(1)
        if condition is not None:
            state = torch.cat([state, condition], dim=1)
        for i, layer in enumerate(self.layers):
            state = layer(state if i == 0 else activate(state))
        return {1: state[:, :, None, None]}


def dense_decoder(
    outputs: int, size: int, sizes: list[int], top_dim: int, condition_dim: int
) -> OneVectorDecoder:
    """Returns the mirror of the dense encoder: a latent to ``(N, outputs, S, S)``."""
    widths = list(reversed(sizes))
    rest = nn.Sequential()
    for a, b in pairwise(widths):
        rest.extend([linear(a, b), nn.LeakyReLU(SLOPE)])
    head = linear(widths[-1], outputs * size**2, gain=0.3)
    return OneVectorDecoder(widths[0], top_dim, condition_dim, rest, head, (outputs, size, size))


CLASSIC_KERNELS = (5, 5, 3)
CLASSIC_WIDTH = 16


class ClassicEncoder(nn.Module):
    """Three convolutions without padding, flattened: 28 px become 16 x 18 x 18 = 5184 numbers."""

    def __init__(self, channels: int, condition_dim: int) -> None:
        super().__init__()
        inputs = [channels + condition_dim, CLASSIC_WIDTH, CLASSIC_WIDTH]
        self.layers = nn.ModuleList(
            nn.Conv2d(a, CLASSIC_WIDTH, kernel)
            for a, kernel in zip(inputs, CLASSIC_KERNELS, strict=True)
        )
        for layer, kernel in zip(self.layers, CLASSIC_KERNELS, strict=True):
            start(layer.weight, layer.in_channels * kernel**2)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> dict[int, Tensor]:
        """Returns the one feature vector, ``{1: (N, 5184, 1, 1)}`` for 28 px."""
        state = images
        if condition is not None:
            planes = condition[:, :, None, None].expand(-1, -1, *images.shape[2:])
            state = torch.cat([images, planes], dim=1)
        for i, layer in enumerate(self.layers):
            state = layer(state if i == 0 else activate(state))
        return {1: state.flatten(1)[:, :, None, None]}


def classic_width(size: int) -> int:
    """Returns the length of the classic encoder's vector: 5184 at 28 px."""
    return CLASSIC_WIDTH * (size - sum(kernel - 1 for kernel in CLASSIC_KERNELS)) ** 2


def classic_decoder(outputs: int, size: int, top_dim: int, condition_dim: int) -> OneVectorDecoder:
    """Returns the mirror of the classic encoder, with transposed convolutions of stride 1."""
    width = classic_width(size)
    side = size - sum(kernel - 1 for kernel in CLASSIC_KERNELS)
    first, second, last = reversed(CLASSIC_KERNELS)
    rest = nn.Sequential(
        nn.Unflatten(1, (CLASSIC_WIDTH, side, side)),
        nn.ConvTranspose2d(CLASSIC_WIDTH, CLASSIC_WIDTH, first),
        nn.LeakyReLU(SLOPE),
        nn.ConvTranspose2d(CLASSIC_WIDTH, CLASSIC_WIDTH, second),
        nn.LeakyReLU(SLOPE),
    )
    head = nn.ConvTranspose2d(CLASSIC_WIDTH, outputs, last)
    for layer, gain in ((rest[1], 1.0), (rest[3], 1.0), (head, 0.3)):
        start(layer.weight, CLASSIC_WIDTH * layer.kernel_size[0] ** 2, gain)
    return OneVectorDecoder(width, top_dim, condition_dim, rest, head, (outputs, size, size))
