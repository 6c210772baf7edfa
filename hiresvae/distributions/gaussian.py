"""The diagonal Gaussian of every rung: prior, posterior, and the ways in which two are combined.

All of it runs in float32, whatever the networks around it use: inputs are widened on construction
and only elementwise operations follow, which autocast leaves alone.
"""

import math
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

LOGVAR_BOUNDS = (-14.0, 10.0)
LOG_2PI = math.log(2 * math.pi)

ACTIVE = 0.01
"""A latent whose posterior mean varies less than this over pictures carries nothing."""


def softly_bounded(x: Tensor, low: float, high: float, margin: float = 2.0) -> Tensor:
    """Returns ``x`` unchanged inside and bent smoothly towards ``low`` and ``high`` outside.

    The identity holds in [low + margin, high - margin]. Past a knee by t the value goes on as
    ``margin * t / (margin + t)``: the slope starts at 1 and falls as 1 / t^2, slowly enough for an
    adaptive optimiser to find the way back, where a clamp would give no gradient at all.

    Args:
        x: any shape.
        low: greatest lower bound of the result.
        high: least upper bound of the result.
        margin: width of the zone below ``high`` and above ``low`` where the bending happens.

    Example:
        >>> softly_bounded(torch.tensor([-1e4, 0.5, 1e4]), -14, 10).round().tolist()
        [-14.0, 0.0, 10.0]
    """
    inside = x.clamp(low + margin, high - margin)
    over, under = (x - (high - margin)).relu(), (low + margin - x).relu()
    # 1 - m / (m + t), not t / (m + t), so that an infinite t gives the bound and not NaN.
    bend = margin / (margin + under) - margin / (margin + over)
    return inside + margin * bend


def bounded_logvar(logvar: Tensor) -> Tensor:
    """Returns the log variance in float32, softly bounded to [-14, 10] (std from 1e-3 to 148).

    The identity from -12 to 8; see `softly_bounded`.
    """
    return softly_bounded(logvar.float(), *LOGVAR_BOUNDS)


@dataclass
class DiagonalGaussian:
    """Independent normal distributions over ``(N, D, h, w)`` (or any ``(N, ...)``).

    Attributes:
        mean: ``(N, D, h, w)``; kept in float32.
        logvar: natural log of the variance, same shape; kept in float32, softly bounded to
            [-14, 10] on construction so that no head can make a variance of 0 or infinity.
        unbounded: the log variance in float32 as it was given.

    Example:
        >>> q = DiagonalGaussian(torch.zeros(1, 2, 1, 1), torch.zeros(1, 2, 1, 1))
        >>> q.kl().sum().item()
        0.0
    """

    mean: Tensor
    logvar: Tensor
    unbounded: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.mean, self.unbounded = self.mean.float(), self.logvar.float()
        self.logvar = bounded_logvar(self.unbounded)

    @property
    def std(self) -> Tensor:
        """Standard deviation ``(N, D, h, w)``: exp(logvar / 2)."""
        return (0.5 * self.logvar).exp()

    def sample(self, noise: Tensor, temperature: float = 1.0) -> Tensor:
        """Returns ``mean + temperature * std * noise``, differentiable in mean and logvar.

        Args:
            noise: standard normal numbers ``(N, D, h, w)``; always given, so that a draw depends on
                what it is for and not on what ran before.
            temperature: scales the standard deviation; 0 gives the mean.
        """
        return self.mean + temperature * self.std * noise.float()

    def log_prob(self, z: Tensor) -> Tensor:
        """Returns the log density of ``z`` ``(N, D, h, w)`` in nats, summed to ``(N,)``."""
        squared = (z.float() - self.mean).square() * (-self.logvar).exp()
        return -0.5 * (squared + self.logvar + LOG_2PI).flatten(1).sum(1)

    def kl(self, other: Self | None = None) -> Tensor:
        """Returns KL(self || other) of every element in nats ``(N, D, h, w)``.

        ``0.5 * ((m1 - m2)^2 / v2 + v1 / v2 - 1 - ln(v1 / v2))``.

        Args:
            other: the prior; None means N(0, 1).
        """
        if other is None:
            distance, ratio = self.mean.square(), self.logvar
        else:
            distance = (self.mean - other.mean).square() * (-other.logvar).exp()
            ratio = self.logvar - other.logvar
        # expm1: for nearly equal variances e^r - 1 - r would lose all its digits.
        return 0.5 * (distance + ratio.expm1() - ratio)


def standard_like(reference: Tensor) -> DiagonalGaussian:
    """Returns N(0, 1) with the shape and device of ``reference`` ``(N, D, h, w)``."""
    zeros = torch.zeros_like(reference, dtype=torch.float32)
    return DiagonalGaussian(zeros, zeros)


def product(a: DiagonalGaussian, b: DiagonalGaussian) -> DiagonalGaussian:
    """Returns the normalised product of two densities: the merge of a ladder VAE.

    ``v = 1 / (1 / v_a + 1 / v_b)``, ``m = v (m_a / v_a + m_b / v_b)``. Never wider than either.

    Source: Sonderby et al. 2016 (arXiv 1602.02282), equations 7 and 8.
    """
    # v / v_a = sigmoid(ln v_b - ln v_a): the weights stay in [0, 1] without dividing.
    mean = torch.lerp(b.mean, a.mean, torch.sigmoid(b.logvar - a.logvar))
    return DiagonalGaussian(mean, -torch.logaddexp(-a.logvar, -b.logvar))


def residual(prior: DiagonalGaussian, delta_mean: Tensor, delta_logvar: Tensor) -> DiagonalGaussian:
    """Returns a posterior told relative to its prior: N(m_p + dm, v_p * e^dlv).

    Zero deltas give the prior itself, so a rung that starts at zero starts with no KL. The bound
    on the log variance is applied once, to the sum: v_p is the prior's own before its bound, as
    in their code.

    Args:
        prior: over ``(N, D, h, w)``.
        delta_mean: added to the mean, ``(N, D, h, w)``.
        delta_logvar: added to the log variance, ``(N, D, h, w)``.

    Source: Vahdat and Kautz 2020 (NVAE, arXiv 2007.03898), section 3.2.
    """
    return DiagonalGaussian(prior.mean + delta_mean.float(), prior.unbounded + delta_logvar.float())
