"""Self-attention over the positions of a small picture."""

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hiresvae.blocks.layers import conv


class Attention(nn.Module):
    """``x + out(attend(x))`` over the H*W positions of ``(N, C, H, W)``; starts as the identity.

    Queries and keys are brought to unit length per head, which bounds the logits without any
    normalisation of the state. The cost grows with (H*W)^2: meant for sides up to 16 or 32.
    """

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels do not divide into {heads} heads")
        self.heads = heads
        self.project = conv(channels, 3 * channels, 1)
        self.out = conv(channels, channels, 1, gain=0)

    def forward(self, state: Tensor) -> Tensor:
        """Returns ``(N, C, H, W)`` for a state of that shape."""
        height = state.shape[2]
        query, key, value = rearrange(
            self.project(state), "n (t k c) h w -> t n k (h w) c", t=3, k=self.heads
        )
        width = query.shape[-1]
        query, key = F.normalize(query, dim=-1) * width**0.5, F.normalize(key, dim=-1) * width**0.5
        mixed = F.scaled_dot_product_attention(query, key, value)
        return state + self.out(rearrange(mixed, "n k (h w) c -> n (k c) h w", h=height))
