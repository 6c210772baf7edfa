"""The draws: where the latent of each rung comes from on a top-down walk."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hiresvae.distributions.gaussian import DiagonalGaussian
from hiresvae.errors import UserError
from hiresvae.models.contract import Draw, Drawn, NormalNoise, Rung

Temperature = float | Sequence[float]
"""Of all rungs alike, or of each from the top; the last one given holds for all below it."""


def temperature_at(temperature: Temperature, number: int) -> float:
    """Returns the temperature of rung ``number``, counted from the top.

    Example:
        >>> [temperature_at((1.0, 0.7), number) for number in range(3)], temperature_at(0.5, 9)
        ([1.0, 0.7, 0.7], 0.5)
    """
    if isinstance(temperature, Sequence):
        return temperature[min(number, len(temperature) - 1)]
    return temperature


def check_temperature(temperature: Temperature, rungs: int) -> None:
    """Refuses temperatures below 0, and more of them than a model has rungs.

    Raises:
        UserError: names the temperature and the nearest valid.
    """
    values = tuple(temperature) if isinstance(temperature, Sequence) else (temperature,)
    for value in values:
        if not (math.isfinite(value) and value >= 0):
            raise UserError(f"temperature {value:g}: must be 0 or more; nearest valid: 0")
    if not 1 <= len(values) <= rungs:
        raise UserError(
            f"temperature has {len(values)} numbers, but this model has {rungs} "
            f"rung{'s' if rungs > 1 else ''}; nearest valid: {rungs if values else 1}"
        )


def check_latents(latents: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuses latents ``(N, D, h, w)`` that are not of a model's rungs, from the top.

    Args:
        latents: of the first rungs, one at least.
        shapes: ``(D, h, w)`` of every rung.

    Raises:
        UserError: names what was given and the nearest valid.
    """
    if not 1 <= len(latents) <= len(shapes):
        raise UserError(
            f"latents of {len(latents)} rungs do not fit; nearest valid: of "
            f"{min(max(len(latents), 1), len(shapes))}, of this model's {len(shapes)}"
        )
    count = latents[0].shape[0] if latents[0].dim() else 0
    for number, (z, shape) in enumerate(zip(latents, shapes, strict=False)):
        if tuple(z.shape) != (count, *shape):
            raise UserError(
                f"latents of rung {number} have the shape {tuple(z.shape)}; nearest valid: "
                f"{(count, *shape)} (pictures, channels, height, width)"
            )


@dataclass(frozen=True)
class FromPosterior:
    """The latents of given pictures: to reconstruct, and to train.

    Attributes:
        features: what the encoder saw, by side.
        noise: standard normal numbers; None takes the posterior's mean.
    """

    features: Mapping[int, Tensor]
    noise: NormalNoise | None

    def __call__(self, number: int, rung: Rung, state: Tensor) -> Drawn:
        """Returns the latent of rung ``number`` for a state ``(N, width, h, w)``."""
        prior = rung.prior(state)
        posterior = rung.posterior(state, self.features[rung.shape[1]], prior)
        if self.noise is None:
            return Drawn(posterior.mean, posterior, prior)
        return Drawn(
            posterior.sample(self.noise(f"posterior {number}", *rung.shape)), posterior, prior
        )


@dataclass(frozen=True)
class FromPrior:
    """Latents of pictures that do not exist yet.

    Attributes:
        noise: standard normal numbers; None takes the prior's mean.
        temperature: scales the prior's standard deviation, of all rungs or of each.
        top: latents ``(N, D, h, w)`` to use for the top rungs, in units of their priors, such as
            those of a fitted prior.
    """

    noise: NormalNoise | None
    temperature: Temperature = 1.0
    top: Sequence[Tensor] = ()

    def __call__(self, number: int, rung: Rung, state: Tensor) -> Drawn:
        """Returns the latent of rung ``number`` for a state ``(N, width, h, w)``."""
        prior = rung.prior(state)
        if number < len(self.top):
            return Drawn(_placed(self.top[number], prior), prior=prior)
        if self.noise is None:
            zeros = state.new_zeros(state.shape[0], *rung.shape)
            return Drawn(zeros if prior is None else prior.mean)
        noise = self.noise(f"prior {number}", *rung.shape)
        temperature = temperature_at(self.temperature, number)
        if prior is None:
            return Drawn(temperature * noise)
        return Drawn(prior.sample(noise, temperature))


@dataclass(frozen=True)
class Coarse:
    """In some rows the top rungs of given pictures, and below them what is drawn for all.

    Attributes:
        pictures: the latents of as many pictures as there are rows.
        own: bool ``(N,)``, the rows that take their picture's.
        rungs: how many of the top do.
        otherwise: decides all else.
    """

    pictures: Draw
    own: Tensor
    rungs: int
    otherwise: Draw

    def __call__(self, number: int, rung: Rung, state: Tensor) -> Drawn:
        """Returns the latent of rung ``number`` for a state ``(N, width, h, w)``."""
        drawn = self.otherwise(number, rung, state)
        if number >= self.rungs:
            return drawn
        z = self.pictures(number, rung, state).z.to(drawn.z.dtype)
        return Drawn(torch.where(self.own[:, None, None, None], z, drawn.z))


@dataclass(frozen=True)
class Given:
    """Given latents for some rungs, top first; where None stands, the other draw decides."""

    latents: list[Tensor | None]
    otherwise: Draw

    def __call__(self, number: int, rung: Rung, state: Tensor) -> Drawn:
        """Returns the latent of rung ``number`` for a state ``(N, width, h, w)``."""
        z = self.latents[number] if number < len(self.latents) else None
        return Drawn(z) if z is not None else self.otherwise(number, rung, state)


@dataclass(frozen=True)
class Relative:
    """Given latents in units of each rung's prior, top first: ``z = mean + std * given``.

    So a coarse latent can be changed and the finer ones follow it. On top the prior is N(0, I), and
    what is given is the latent itself.
    """

    latents: list[Tensor]

    def __call__(self, number: int, rung: Rung, state: Tensor) -> Drawn:
        """Returns the latent of rung ``number`` for a state ``(N, width, h, w)``."""
        prior = rung.prior(state)
        return Drawn(_placed(self.latents[number], prior), prior=prior)


def _placed(relative: Tensor, prior: DiagonalGaussian | None) -> Tensor:
    """Returns the latent that is so many deviations from its prior's mean."""
    return relative if prior is None else prior.sample(relative)


@dataclass(frozen=True)
class Together:
    """Two draws in one walk: the first ``count`` rows by one, the rest by the other.

    One decoder pass over a larger batch costs less than two, and its outputs are the same.
    """

    first: Draw
    count: int
    second: Draw

    def __call__(self, number: int, rung: Rung, state: Tensor) -> Drawn:
        """Returns the latent of rung ``number`` for a state ``(N, width, h, w)``."""
        one = self.first(number, rung, state[: self.count])
        two = self.second(number, rung, state[self.count :])
        return Drawn(torch.cat([one.z, two.z.to(one.z.dtype)]), one.posterior, one.prior)
