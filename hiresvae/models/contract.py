"""What the parts of a model promise one another.

A model is an encoder, a decoder that walks top-down over rungs, and a likelihood. What a rung's
latent is, is decided by a *draw*: the walk asks it at every rung, so that reconstructing, sampling,
editing and mixing are the same walk with another draw.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from hiresvae.distributions.gaussian import DiagonalGaussian
from hiresvae.distributions.likelihoods import Likelihood


@dataclass(frozen=True)
class Drawn:
    """The latent of one rung and where it came from.

    Attributes:
        z: ``(N, D, h, w)``; a vector when h = w = 1.
        posterior: q(z | x, rungs above) of the first rows, where a picture was given.
        prior: p(z | rungs above) of the same rows; None is the standard normal.
    """

    z: Tensor
    posterior: DiagonalGaussian | None = None
    prior: DiagonalGaussian | None = None

    def relative(self) -> Tensor:
        """Returns the latent in units of its prior ``(N, D, h, w)``: ``(z - mean) / std``."""
        return self.z if self.prior is None else (self.z - self.prior.mean) / self.prior.std

    def rate(self) -> Tensor:
        """Returns KL(posterior | prior) in nats ``(n,)``, summed over the rung's latents."""
        if self.posterior is None:
            raise ValueError("a latent that was not drawn from a posterior has no rate")
        return self.posterior.kl(self.prior).flatten(1).sum(1)


class Rung(Protocol):
    """One stochastic layer: diagonal Gaussians over ``(N, D, h, w)``."""

    shape: tuple[int, int, int]

    def prior(self, state: Tensor) -> DiagonalGaussian | None:
        """Returns p(z | state); None for the standard normal."""
        ...

    def posterior(
        self, state: Tensor, features: Tensor, prior: DiagonalGaussian | None
    ) -> DiagonalGaussian:
        """Returns q(z | state, features), given the prior of the same state."""
        ...

    def inject(self, state: Tensor, z: Tensor) -> Tensor:
        """Returns the state with the latent joined to it."""
        ...


Draw = Callable[[int, Rung, Tensor], Drawn]
"""``draw(number, rung, state)`` gives the latent of rung ``number``, counted from the top."""

NormalNoise = Callable[..., Tensor]
"""``noise(stream, D, h, w)`` gives standard normal numbers ``(N, D, h, w)`` of a named stream."""


@dataclass(frozen=True)
class Outputs:
    """All that a training step needs from one forward.

    Attributes:
        distortion: -log p(x | z) in nats ``(N,)``, summed over the picture.
        rate: KL of each rung in nats ``(N, L)``, top first.
        error: mean squared (gaussian) or absolute error per dimension ``(N,)``.
        reconstruction: mean of the likelihood ``(N, C, H, W)`` in [-1, 1].
        top: latents of the top rungs in units of their priors, as one vector ``(N, D)``.
        sample: pictures ``(M, C, H, W)`` from the given top latents; None without them.
        latents: of all rungs ``(N, D, h, w)``, top first.
        coarse: -log p(x | z) in nats ``(M,)`` where the samples have the top rungs of a picture x,
            0 where they do not; None where none does.
    """

    distortion: Tensor
    rate: Tensor
    error: Tensor
    reconstruction: Tensor
    top: Tensor
    sample: Tensor | None = None
    latents: list[Tensor] = field(default_factory=list)
    coarse: Tensor | None = None


@dataclass(frozen=True)
class Walk:
    """What one top-down walk leaves: head channels ``(N, P, H, W)`` and what each rung drew."""

    head: Tensor
    drawn: list[Drawn] = field(default_factory=list)


__all__ = ["Draw", "Drawn", "Likelihood", "NormalNoise", "Outputs", "Rung", "Walk"]
