"""How labels, and the vector latent, steer a network: by scaling and shifting its channels."""

import torch
from torch import Tensor, nn

from hiresvae.blocks.layers import linear


class Modulate(nn.Module):
    """``state * (1 + scale) + shift`` with scale and shift ``(N, C)`` linear in the condition.

    Starts as the identity: a network that is conditional begins exactly as one that is not
    (Perez et al. 2018, arXiv 1709.07871).
    """

    def __init__(self, channels: int, condition_dim: int) -> None:
        super().__init__()
        self.project = linear(condition_dim, 2 * channels, gain=0)

    def forward(self, state: Tensor, condition: Tensor) -> Tensor:
        """Returns ``(N, C, H, W)`` for a state ``(N, C, H, W)`` and a condition ``(N, E)``."""
        scale, shift = self.project(condition)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, state, 1 + scale)
