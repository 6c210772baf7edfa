"""Distributions of a picture given its latents, by name: p(x | z)."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from hiresvae.distributions.contract import Likelihood, LikelihoodHead, away_from_ends
from hiresvae.distributions.gaussian import LOG_2PI
from hiresvae.distributions.logistic_mixture import LogisticMixtureHead
from hiresvae.errors import UserError, nearest

__all__ = ["LIKELIHOODS", "Likelihood", "LikelihoodHead", "make_likelihood"]

LIKELIHOODS = ("gaussian", "laplace", "logistic_mixture", "bernoulli")
MIN_LOG_SCALE = -6.0


@dataclass
class _Normal(Likelihood):
    """Independent normals with one scale."""

    mean: Tensor
    log_scale: Tensor

    def log_prob(self, images: Tensor) -> Tensor:
        squared = (images.float() - self.mean).square().flatten(1)
        normaliser = squared.shape[1] * (self.log_scale + 0.5 * LOG_2PI)
        return -0.5 * squared.sum(1) * (-2 * self.log_scale).exp() - normaliser

    def sample(self, noise: Tensor) -> Tensor:
        return self.mean + self.log_scale.exp() * torch.special.ndtri(away_from_ends(noise))


@dataclass
class _Laplace(Likelihood):
    """Independent Laplace distributions with one scale."""

    mean: Tensor
    log_scale: Tensor

    def log_prob(self, images: Tensor) -> Tensor:
        absolute = (images.float() - self.mean).abs().flatten(1)
        normaliser = absolute.shape[1] * (self.log_scale + math.log(2))
        return -absolute.sum(1) * (-self.log_scale).exp() - normaliser

    def sample(self, noise: Tensor) -> Tensor:
        centred = away_from_ends(noise) - 0.5
        return self.mean - self.log_scale.exp() * centred.sign() * torch.log1p(-2 * centred.abs())

    def error(self, images: Tensor) -> Tensor:
        return (images.float() - self.mean).abs().flatten(1).mean(1)


class LocationScaleHead(LikelihoodHead):
    """Gaussian or Laplace around the head itself, with one scale for all pixels.

    The head is the mean as it is: no tanh, since clipping belongs to the border to uint8.

    ``scale`` is a number in units of [-1, 1], "learned" (one parameter), or "optimal": the scale
    that maximises the likelihood of a running mean error, sqrt(mean squared error) or the mean
    absolute error. It is a buffer and not a function of the batch, so that it is the same in every
    process and in every part of an accumulated batch; the trainer feeds it through `observe`.

    Source: Rybkin et al. 2021 (sigma-VAE, arXiv 2006.13202), who take the batch's own error.
    """

    discrete = False
    log_scale: Tensor
    mean_error: Tensor
    num_observed: Tensor

    def __init__(self, name: str, scale: float | Literal["optimal", "learned"]) -> None:
        super().__init__()
        self.name, self.scale = name, scale
        if scale == "learned":
            self.log_scale = nn.Parameter(torch.zeros(()))
        elif scale == "optimal":
            self.register_buffer("mean_error", torch.ones(()))
            self.register_buffer("num_observed", torch.zeros(()))
        elif isinstance(scale, str) or not 0 < scale < math.inf:
            hint = nearest(scale, ["optimal", "learned"])
            raise UserError(f"model.scale must be positive or a mode, got {scale!r}; {hint}")
        else:
            self.register_buffer("log_scale", torch.tensor(math.log(scale)), persistent=False)

    def num_channels(self, channels: int) -> int:
        """Returns ``channels``: the head is the mean."""
        return channels

    def current_log_scale(self) -> Tensor:
        """Returns the natural log of the scale ``()``; at least -6 unless it is a fixed number."""
        if self.scale == "learned":
            # A soft floor: a clamp would leave the parameter without a gradient below it.
            return MIN_LOG_SCALE + softplus(self.log_scale.float() - MIN_LOG_SCALE)
        if self.scale == "optimal":
            power = 2 if self.name == "gaussian" else 1
            return (self.mean_error.log() / power).clamp_min(MIN_LOG_SCALE)
        return self.log_scale.float()

    def forward(self, head: Tensor) -> Likelihood:
        """Returns independent distributions around ``head`` ``(N, C, H, W)``."""
        family = _Normal if self.name == "gaussian" else _Laplace
        return family(head.float(), self.current_log_scale())

    @torch.no_grad()
    def observe(self, mean_error: Tensor) -> None:
        """Moves the running error towards ``mean_error`` ``()``, the global batch's; no sync.

        The first observations are averaged evenly (so the first replaces the initial value), later
        ones with decay 0.99. An error that is not finite changes nothing.
        """
        if self.scale != "optimal":
            return
        usable = torch.isfinite(mean_error)
        weight = torch.where(usable, (1 / (self.num_observed + 1)).clamp_min(0.01), 0.0)
        self.mean_error.lerp_(torch.where(usable, mean_error.float(), self.mean_error), weight)
        self.num_observed += usable


@dataclass
class _Bernoulli(Likelihood):
    """Independent coin throws over {-1, 1}."""

    logits: Tensor

    @cached_property
    def mean(self) -> Tensor:  # type: ignore[override]
        return 2 * self.logits.sigmoid() - 1

    def log_prob(self, images: Tensor) -> Tensor:
        share = (images.float() + 1) / 2
        return (share * self.logits - softplus(self.logits)).flatten(1).sum(1)

    def sample(self, noise: Tensor) -> Tensor:
        return torch.where(noise < self.logits.sigmoid(), 1.0, -1.0)


class BernoulliHead(LikelihoodHead):
    """Independent binary pixels: -1 is 0, 1 is 1.

    Greys are taken as probabilities of 1; log_prob is then a cross entropy and no normalised
    likelihood, so figures on greys compare with nothing but themselves.
    """

    name = "bernoulli"
    discrete = True

    def num_channels(self, channels: int) -> int:
        """Returns ``channels``: the head is the log odds of 1."""
        return channels

    def forward(self, head: Tensor) -> Likelihood:
        """Returns coin throws with log odds ``head`` ``(N, C, H, W)``."""
        return _Bernoulli(head.float())


def make_likelihood(
    name: str, *, channels: int, scale: float | Literal["optimal", "learned"], mixtures: int
) -> LikelihoodHead:
    """Returns the likelihood of that name for pictures with so many channels.

    Args:
        name: gaussian, laplace, logistic_mixture or bernoulli.
        channels: C of the pictures.
        scale: of gaussian and laplace: "optimal", "learned" or a number in units of [-1, 1].
        mixtures: components of logistic_mixture.

    Raises:
        UserError: unknown name or a scale that is not positive.

    Example:
        >>> make_likelihood("logistic_mixture", channels=3, scale=1, mixtures=5).num_channels(3)
        50
    """
    if name in ("gaussian", "laplace"):
        return LocationScaleHead(name, scale)
    if name == "logistic_mixture":
        return LogisticMixtureHead(channels, mixtures)
    if name == "bernoulli":
        return BernoulliHead()
    raise UserError(f"model.likelihood {name!r} is not known; {nearest(name, LIKELIHOODS)}")
