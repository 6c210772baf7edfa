"""The rung: prior, posterior and injection of one stochastic layer."""

import torch
from torch import Tensor, nn

from hiresvae.blocks.layers import SLOPE, activate, conv
from hiresvae.distributions.gaussian import DiagonalGaussian, residual


class GaussianRung(nn.Module):
    """A diagonal Gaussian over ``(N, dim, side, side)``.

    The first rung has the standard normal as prior. Every other has a learned one that starts as
    the standard normal, and a posterior written relative to it (Vahdat and Kautz 2020,
    arXiv 2007.03898, section 3.2), so that a rung that adds nothing costs nothing.

    Args:
        side: h = w of the latent; 1 for a vector.
        width: channels of the state.
        features: channels of what the encoder saw at this side.
        dim: channels of the latent.
        first: whether it is the top rung.
        slope: of the activations below 0.
    """

    def __init__(
        self,
        side: int,
        width: int,
        features: int,
        dim: int,
        *,
        first: bool,
        slope: float = SLOPE,
    ) -> None:
        super().__init__()
        self.shape = (dim, side, side)
        self.first, self.slope = first, slope
        kernel = 1 if side == 1 else 3
        seen = features if first else features + width
        self.read = conv(seen, 2 * dim, kernel, gain=0.5)
        self.foresee = None if first else conv(width, 2 * dim, kernel, gain=0)
        self.write = conv(dim, width, 1)

    def prior(self, state: Tensor) -> DiagonalGaussian | None:
        """Returns p(z | state) for a state ``(N, width, h, w)``; None is the standard normal."""
        if self.foresee is None:
            return None
        return DiagonalGaussian(*self.foresee(activate(state, self.slope)).chunk(2, dim=1))

    def posterior(
        self, state: Tensor, features: Tensor, prior: DiagonalGaussian | None
    ) -> DiagonalGaussian:
        """Returns q(z | state, features), told relative to the prior of the same state."""
        seen = features if prior is None else torch.cat([state, features], dim=1)
        mean, logvar = self.read(activate(seen, self.slope)).chunk(2, dim=1)
        if prior is None:
            return DiagonalGaussian(mean, logvar)
        return residual(prior, mean, logvar)

    def inject(self, state: Tensor, z: Tensor) -> Tensor:
        """Returns ``(N, width, h, w)``: the state plus a linear map of the latent."""
        return state + self.write(z.to(state.dtype))
