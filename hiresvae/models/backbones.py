"""Two older backbones behind the same contract: fully connected, and three plain convolutions.

Both have one vector rung on top; they exist to repeat classic lessons and for tiny pictures.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hiresvae.blocks.layers import SLOPE, activate, linear, start
from hiresvae.models.contract import Draw, Drawn, NormalNoise, Walk
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
        gain: what the latent is multiplied by.
        bounded: whether the result is a mean of pixels, to be kept in [-1, 1].
        slope: of the rung's activation below 0; 1 makes it linear.
        features: length of the vector that the latent is read from; None: ``width``.
    """

    def __init__(
        self,
        width: int,
        top_dim: int,
        condition_dim: int,
        rest: nn.Module,
        head: nn.Module,
        fold: tuple[int, int, int],
        *,
        gain: float = 1.0,
        bounded: bool = False,
        slope: float = SLOPE,
        features: int | None = None,
    ) -> None:
        super().__init__()
        self.width, self.fold = width, fold
        self.gain, self.bounded = gain, bounded
        self.rung = GaussianRung(1, width, features or width, top_dim, first=True, slope=slope)
        self.steer = linear(condition_dim, width) if condition_dim else None
        self.rest, self.head = rest, head

    @property
    def rung_list(self) -> list[GaussianRung]:
        """The one rung."""
        return [self.rung]

    def forward(
        self,
        draw: Draw,
        condition: Tensor | None,
        count: int,
        grain: NormalNoise | None = None,
    ) -> Walk:
        """Returns the walk over the one rung; see the pyramid's decoder for the arguments.

        There is no grain: ``grain`` changes nothing.
        """
        state = self._start(condition, count)
        drawn = draw(0, self.rung, state)
        state = self.rung.inject(state, self.gain * drawn.z)
        head = self.head(self.rest(state.flatten(1)))
        if self.bounded:
            # A tanh that is 1 only at infinity dies where a picture is plain black or white.
            head = REACH * torch.tanh(head)
        return Walk(head.unflatten(1, self.fold) if head.ndim == 2 else head, [drawn])

    def top(self, draw: Draw, condition: Tensor | None, count: int, rungs: int) -> list[Drawn]:
        """Returns what the one rung draws."""
        return [draw(0, self.rung, self._start(condition, count))]

    def _start(self, condition: Tensor | None, count: int) -> Tensor:
        state = self.rung.write.weight.new_zeros(count, self.width, 1, 1)
        if self.steer is None or condition is None:
            return state
        return state + self.steer(condition)[:, :, None, None]


class DenseEncoder(nn.Module):
    """Layers of the given sizes over all pixels: ``(N, C, S, S) -> {1: (N, sizes[-1], 1, 1)}``.

    Between them a leaky ReLU; with a slope of 1 it is the identity, and the encoder linear.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        sizes: list[int],
        condition_dim: int,
        slope: float = SLOPE,
    ) -> None:
        super().__init__()
        self.slope, self.condition_dim = slope, condition_dim
        inputs = [channels * size**2 + condition_dim, *sizes[:-1]]
        self.layers = nn.ModuleList(linear(a, b) for a, b in zip(inputs, sizes, strict=True))

    def forward(self, images: Tensor, condition: Tensor | None = None) -> dict[int, Tensor]:
        """Returns the one feature vector."""
        state = images.flatten(1)
        if condition is not None:
            state = torch.cat([state, condition], dim=1)
        for i, layer in enumerate(self.layers):
            state = layer(state if i == 0 else activate(state, self.slope))
        return {1: state[:, :, None, None]}


def dense_decoder(
    outputs: int,
    size: int,
    sizes: list[int],
    top_dim: int,
    condition_dim: int,
    slope: float = SLOPE,
) -> OneVectorDecoder:
    """Returns the mirror of the dense encoder: a latent to ``(N, outputs, S, S)``."""
    widths = list(reversed(sizes))
    rest = nn.Sequential(nn.LeakyReLU(slope))
    for a, b in pairwise(widths):
        rest.extend([linear(a, b), nn.LeakyReLU(slope)])
    head = linear(widths[-1], outputs * size**2, gain=0.3)
    fold = (outputs, size, size)
    return OneVectorDecoder(widths[0], top_dim, condition_dim, rest, head, fold, slope=slope)


SMOOTH_GAIN = 1.1
"""What the scale of weights before a hard swish has over that before the leaky ReLU.

1.25 would keep the variance from layer to layer; a quieter start learns digits a little better.
"""

BOOST = 2.0
"""What weights are multiplied by where they act, and divided by at the start.

A step of Adam then moves a layer twice as far: the lesson is short and its rate given (equalised
learning rate, Karras et al. 2018, arXiv 1710.10196, section 4.1).
"""

HUSH = 0.4
"""What the flattened features are multiplied by: 5184 of them move a latent together."""

REACH = 1.1
"""How far a bounded mean can go: a little beyond the pixels, so that it keeps a gradient there."""

CLASSIC_LAYERS = ((8, 4, 2), (16, 3, 1), (64, 3, 1))
"""Width, kernel and stride of the convolutions, from the picture on."""

CLASSIC_DECODER = (16, 16, 32)
"""What comes into the transposed convolutions of the same kernels: half the arithmetic of a mirror.

Measured on digits, the other half buys less than a hundredth of the reconstructions' digits.
"""

CLASSIC_HIDDEN = 192
"""Length of the layer between the latent and the flattened pictures."""


def classic_side(size: int) -> int:
    """Returns the side that three convolutions without padding leave: 9 of 28, 0 where none is."""
    for _, kernel, stride in CLASSIC_LAYERS:
        size = max(0, (size - kernel) // stride + 1)
    return size


def classic_width(size: int) -> int:
    """Returns the length of the classic encoder's vector: 5184 at 28 px."""
    return CLASSIC_LAYERS[-1][0] * classic_side(size) ** 2


class BoostedConvolution(nn.Conv2d):
    """A convolution without padding whose weights act ``BOOST`` times as large as they are."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int) -> None:
        super().__init__(c_in, c_out, kernel, stride)
        start(self.weight, c_in * kernel**2, SMOOTH_GAIN / BOOST)

    def forward(self, state: Tensor) -> Tensor:
        """Returns ``(N, c_out, h, w)`` for ``(N, c_in, H, W)``."""
        return F.conv2d(state, BOOST * self.weight, self.bias, self.stride)


class BoostedLinear(nn.Linear):
    """A linear layer whose weights act ``BOOST`` times as large as they are."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        start(self.weight, c_in, SMOOTH_GAIN / BOOST)
        nn.init.zeros_(self.bias)

    def forward(self, state: Tensor) -> Tensor:
        """Returns ``(N, c_out)`` for ``(N, c_in)``."""
        # By what comes in, which is smaller than the weights: a power of two, so the very same.
        return F.linear(BOOST * state, self.weight, self.bias)


class ClassicEncoder(nn.Module):
    """Three convolutions without padding, flattened: 28 px become 64 x 9 x 9 = 5184 numbers.

    The latent is read from these. The activation is the hard swish: the lesson is short, a smooth
    one learns more from few batches, and this one is cheap.
    """

    def __init__(self, channels: int, size: int, condition_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        c_in = channels + condition_dim
        for width, kernel, stride in CLASSIC_LAYERS:
            self.layers.append(BoostedConvolution(c_in, width, kernel, stride))
            c_in = width

    def forward(self, images: Tensor, condition: Tensor | None = None) -> dict[int, Tensor]:
        """Returns the one feature vector, ``{1: (N, 5184, 1, 1)}`` at 28 px."""
        # Black becomes 0: what is empty is silent, and the strokes alone are learnt from.
        state = (images + 1).contiguous()  # as the weights: see `VAE.in_fast_order`
        if condition is not None:
            planes = condition[:, :, None, None].expand(-1, -1, *images.shape[2:])
            state = torch.cat([state, planes], dim=1)
        for layer in self.layers:
            state = F.hardswish(layer(state))
        return {1: HUSH * state.flatten(1)[:, :, None, None]}


class Deconvolution(nn.Module):
    """A transposed convolution without padding, its weights boosted as those of the encoder.

    It is written as a convolution over a border of zeros that gives the ``stride**2`` pixels of a
    place as channels: the same function, in two thirds of a training step's time on a CPU.

    Args:
        c_in: channels that come in.
        c_out: channels that go out.
        kernel: side of the kernel, a multiple of the stride.
        stride: how many times finer the result is.
        gain: scale of the initial weights.
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int, *, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.taps, self.stride = kernel // stride, stride
        self.weight = nn.Parameter(torch.empty(c_out * stride**2, c_in, self.taps, self.taps))
        self.bias = nn.Parameter(torch.zeros(c_out))
        start(self.weight, c_in * self.taps**2, gain / BOOST)

    def forward(self, images: Tensor) -> Tensor:
        """Returns ``(N, c_out, (h - 1) * stride + kernel, (w - 1) * stride + kernel)``."""
        bias = self.bias.repeat_interleave(self.stride**2)
        places = F.conv2d(images, BOOST * self.weight, bias, padding=self.taps - 1)
        return places if self.stride == 1 else F.pixel_shuffle(places, self.stride)


def classic_decoder(
    outputs: int, size: int, top_dim: int, condition_dim: int, *, bounded: bool
) -> OneVectorDecoder:
    """Returns the way back of the classic encoder by transposed convolutions; even sizes."""
    side = classic_side(size)
    inputs = CLASSIC_DECODER
    layers = []
    for c_in, c_out, (_, kernel, stride) in zip(
        inputs, [outputs, *inputs[:-1]], CLASSIC_LAYERS, strict=True
    ):
        gain = 0.3 if c_out == outputs else SMOOTH_GAIN
        layers.append(Deconvolution(c_in, c_out, kernel, stride, gain=gain))
    head, second, first = layers
    rest = nn.Sequential(
        nn.Hardswish(),
        BoostedLinear(CLASSIC_HIDDEN, inputs[-1] * side**2),
        nn.Hardswish(),
        nn.Unflatten(1, (inputs[-1], side, side)),
        first,
        nn.Hardswish(),
        second,
        nn.Hardswish(),
    )
    return OneVectorDecoder(
        CLASSIC_HIDDEN,
        top_dim,
        condition_dim,
        rest,
        head,
        (outputs, size, size),
        gain=2.0,
        bounded=bounded,
        features=classic_width(size),
    )
