"""The encoder pyramid: from the picture up to a vector, fine to coarse."""

from torch import Tensor, nn

from hiresvae.blocks.attention import Attention
from hiresvae.blocks.layers import conv
from hiresvae.blocks.resample import Down, ToVector
from hiresvae.blocks.residual import residuals
from hiresvae.blocks.staged import Staged


class Trunk(Staged):
    """Residual blocks at every side with a passage down between two; encoder and critic use it.

    Args:
        sides: from fine to coarse, each half the one before; a last 1 makes a vector.
        widths: channels at each side.
        channels: channels of the picture.
        blocks: residual blocks at each side above 1.
        attention: sides with self-attention.
        condition_dim: length of the condition, 0 for none.
    """

    def __init__(
        self,
        sides: list[int],
        widths: list[int],
        channels: int,
        *,
        blocks: int,
        attention: list[int],
        condition_dim: int = 0,
    ) -> None:
        super().__init__()
        self.sides = sides
        self.stem = conv(channels, widths[0])
        self.passages = nn.ModuleList()
        self.blocks = nn.ModuleList()
        for i, (side, width) in enumerate(zip(sides, widths, strict=True)):
            if i > 0:
                kind = ToVector if side == 1 else Down
                self.passages.append(kind(widths[i - 1], width, sides[i - 1], condition_dim))
            stage = residuals(width, blocks if side > 1 else 0)
            if side in attention:
                stage.append(Attention(width))
            self.blocks.append(stage)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> dict[int, Tensor]:
        """Returns features by side, ``{side: (N, width, side, side)}``, for ``(N, C, H, W)``."""
        state, features = images, {}
        for i, side in enumerate(self.sides):
            state = self.stage(self._side, i, state, condition)
            features[side] = state
        return features

    def _side(self, i: int, state: Tensor, condition: Tensor | None) -> Tensor:
        """Returns the features of side number ``i`` from those before, or from the picture."""
        state = self.passages[i - 1](state, condition) if i > 0 else self.stem(state)
        return self.blocks[i](state)
