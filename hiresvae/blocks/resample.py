"""The ways between two sides of a pyramid, down and up, and between a picture and a vector.

Each mixes channels by a linear map, may be steered by a condition, and is free of checkerboard:
resampling is a fixed blur, never a strided learned kernel. The condition acts where the side is
smaller, which costs a quarter.
"""

from einops import rearrange
from torch import Tensor, nn

from hiresvae.blocks.condition import Modulate
from hiresvae.blocks.layers import Blur, activate, conv, linear, unit


class _Passage(nn.Module):
    """What all passages share: an optional modulation by the condition."""

    def __init__(self, channels: int, condition_dim: int) -> None:
        super().__init__()
        self.modulate = Modulate(channels, condition_dim) if condition_dim else None

    def steer(self, state: Tensor, condition: Tensor | None) -> Tensor:
        """Returns the state, scaled and shifted where there is a condition."""
        if self.modulate is None or condition is None:
            return state
        return self.modulate(state, condition)


class Down(_Passage):
    """Halves the side ``(N, c_in, H, W) -> (N, c_out, H/2, W/2)``."""

    def __init__(self, c_in: int, c_out: int, side: int, condition_dim: int = 0) -> None:
        super().__init__(c_out, condition_dim)
        self.blur = Blur(c_in, side, up=False)
        self.mix = conv(c_in, c_out, 1)

    def forward(self, state: Tensor, condition: Tensor | None = None) -> Tensor:
        """Returns the state on the other side, steered by the condition ``(N, E)``."""
        return self.steer(self.mix(self.blur(state)), condition)


class Up(_Passage):
    """Doubles the side ``(N, c_in, H, W) -> (N, c_out, 2H, 2W)``; ``side`` is the one it starts at.

    The channels are mixed first, where there are fewer pixels, and then fewer are blurred.
    """

    def __init__(self, c_in: int, c_out: int, side: int, condition_dim: int = 0) -> None:
        super().__init__(c_out, condition_dim)
        self.mix = conv(c_in, c_out, 1)
        self.blur = Blur(c_out, side, up=True)

    def forward(self, state: Tensor, condition: Tensor | None = None) -> Tensor:
        """Returns the state on the other side, steered by the condition ``(N, E)``."""
        return self.blur(self.steer(self.mix(state), condition))


class ToVector(_Passage):
    """A small picture as a vector ``(N, c_in, side, side) -> (N, c_out, 1, 1)``."""

    def __init__(self, c_in: int, c_out: int, side: int, condition_dim: int = 0) -> None:
        super().__init__(c_out, condition_dim)
        self.mix = linear(c_in * side**2, c_out)

    def forward(self, state: Tensor, condition: Tensor | None = None) -> Tensor:
        """Returns the state on the other side, steered by the condition ``(N, E)``."""
        vector = self.mix(activate(state).flatten(1))
        return self.steer(rearrange(vector, "n c -> n c 1 1"), condition)


class FromVector(_Passage):
    """A vector as a small picture ``(N, c_in, 1, 1) -> (N, c_out, side, side)``."""

    def __init__(self, c_in: int, c_out: int, side: int, condition_dim: int = 0) -> None:
        super().__init__(c_out, condition_dim)
        self.side = side
        self.mix = linear(c_in, c_out * side**2)

    def forward(self, state: Tensor, condition: Tensor | None = None) -> Tensor:
        """Returns the state on the other side, steered by the condition ``(N, E)``."""
        flat = self.mix(activate(state).flatten(1))
        picture = rearrange(flat, "n (c h w) -> n c h w", h=self.side, w=self.side)
        return self.steer(unit(picture), condition)
