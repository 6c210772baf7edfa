"""The residual block that encoders, decoders and critics are made of."""

from torch import Tensor, nn

from hiresvae.blocks.layers import activate, conv


class Residual(nn.Module):
    """``x + conv(act(conv(act(x))))`` on ``(N, C, H, W)``; the last convolution starts at zero.

    At the start the block is the identity, so a deep stack begins as a shallow one and needs
    no normalisation (Zhang et al. 2019, arXiv 1901.09321; the R3GAN networks, arXiv 2501.05441).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.last = conv(channels, channels, gain=0)

    def forward(self, state: Tensor) -> Tensor:
        """Returns ``(N, C, H, W)`` for a state of that shape."""
        return state + self.last(activate(self.first(activate(state))))


def residuals(channels: int, count: int) -> nn.Sequential:
    """Returns ``count`` residual blocks in a row."""
    return nn.Sequential(*(Residual(channels) for _ in range(count)))
