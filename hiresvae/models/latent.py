"""The rung: prior, posterior and injection of one stochastic layer."""

from typing import Literal

import torch
from torch import Tensor, nn

from hiresvae.blocks.layers import SLOPE, activate, conv
from hiresvae.distributions.gaussian import DiagonalGaussian, product, residual

Merge = Literal["residual", "precision"]
"""How a posterior joins what the encoder saw with the prior."""


class GaussianRung(nn.Module):
    """A diagonal Gaussian over ``(N, dim, side, side)``.

    The first rung has the standard normal as prior. Every other has a learned one that starts as
    the standard normal, and one of two posteriors:

    - ``residual``: written relative to the prior, and seeing state and picture (Vahdat and Kautz
      2020, arXiv 2007.03898, section 3.2), so that a rung that adds nothing costs nothing;
    - ``precision``: the product of the prior and of a Gaussian that the picture alone gives, each
      weighing as much as it is certain (Sonderby et al. 2016, arXiv 1602.02282).

    In a deep ladder each latent adds less to the state, so that all of them together add at the
    start what one would: its map is scaled by ``1 / sqrt(rungs)`` (Child 2021, arXiv 2011.10650,
    section 3.2).

    Args:
        side: h = w of the latent; 1 for a vector.
        width: channels of the state.
        features: channels of what the encoder saw at this side.
        dim: channels of the latent.
        first: whether it is the top rung.
        slope: of the activations below 0.
        merge: how the posterior joins prior and picture.
        rungs: in the whole ladder.
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
        merge: Merge = "residual",
        rungs: int = 1,
    ) -> None:
        super().__init__()
        self.shape = (dim, side, side)
        self.first, self.slope, self.merge = first, slope, merge
        kernel = 1 if side == 1 else 3
        seen = features if first or merge == "precision" else features + width
        self.read = conv(seen, 2 * dim, kernel, gain=0.5)
        self.foresee = None if first else conv(width, 2 * dim, kernel, gain=0)
        self.write = conv(dim, width, 1, gain=rungs**-0.5)

    def prior(self, state: Tensor) -> DiagonalGaussian | None:
        """Returns p(z | state) for a state ``(N, width, h, w)``; None is the standard normal."""
        if self.foresee is None:
            return None
        return DiagonalGaussian(*self.foresee(activate(state, self.slope)).chunk(2, dim=1))

    def posterior(
        self, state: Tensor, features: Tensor, prior: DiagonalGaussian | None
    ) -> DiagonalGaussian:
        """Returns q(z | state, features), given the prior of the same state."""
        alone = prior is None or self.merge == "precision"
        seen = features if alone else torch.cat([state, features], dim=1)
        mean, logvar = self.read(activate(seen, self.slope)).chunk(2, dim=1)
        if prior is None:
            return DiagonalGaussian(mean, logvar)
        if self.merge == "precision":
            return product(DiagonalGaussian(mean, logvar), prior)
        return residual(prior, mean, logvar)

    def inject(self, state: Tensor, z: Tensor) -> Tensor:
        """Returns ``(N, width, h, w)``: the state plus a linear map of the latent."""
        return state + self.write(z.to(state.dtype))
