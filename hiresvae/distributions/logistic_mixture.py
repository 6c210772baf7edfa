"""The discretised mixture of logistics: true probabilities of 8-bit values."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softplus

from hiresvae.distributions.contract import Likelihood, LikelihoodHead, away_from_ends
from hiresvae.distributions.gaussian import softly_bounded

HALF_BIN = 1 / 255  # half the distance of two neighbouring 8-bit levels in [-1, 1]


@dataclass
class _LogisticMixture(Likelihood):
    """Mixture over pixels; within a component a channel's mean follows the channels before it.

    Attributes:
        logits: weights of the components ``(N, M, H, W)``, not normalised.
        means: ``(N, M, C, H, W)`` before the coefficients.
        log_scales: ``(N, M, C, H, W)``.
        coefficients: ``(N, M, C (C - 1) / 2, H, W)`` in (-1, 1), by channel, then by channel seen.
    """

    logits: Tensor
    means: Tensor
    log_scales: Tensor
    coefficients: Tensor

    def _location(self, channel: int, seen: list[Tensor]) -> Tensor:
        """Returns the means of a channel ``(N, M, H, W)`` given those before it."""
        location, first = self.means[:, :, channel], channel * (channel - 1) // 2
        for i, value in enumerate(seen):
            location = location + self.coefficients[:, :, first + i] * value
        return location

    @cached_property
    def mean(self) -> Tensor:  # type: ignore[override]
        """Expected pictures; a component's is that of its logistic clipped to [-1, 1].

        ``E[clip(X)] = 1 - integral of F over [-1, 1]``, in closed form: smooth, and no pixel that
        leaves the range loses its gradient. A later channel sees the mean of the ones before.
        """
        means: list[Tensor] = []
        for channel in range(self.means.shape[2]):
            location, scale = self._location(channel, means), self.log_scales[:, :, channel].exp()
            above, below = softplus((1 - location) / scale), softplus((-1 - location) / scale)
            means.append(1 - scale * (above - below))
        weights = self.logits.softmax(1).unsqueeze(2)
        return (weights * torch.stack(means, 2)).sum(1).clamp(-1, 1)

    def log_prob(self, images: Tensor) -> Tensor:
        """Returns ln P(x | z) in nats ``(N,)``; images are rounded to the nearest of 256 levels.

        With a, c the standardised upper and lower edge of a bin,
        ``ln(sig(a) - sig(c)) = ln sig(a) + ln sig(-c) + ln(1 - e^(c - a))``: exact in the tails,
        where the usual difference needs a floor and a second formula. The outer bins are open.
        """
        images = _to_levels(images.float())
        total = log_softmax(self.logits, 1)
        seen: list[Tensor] = []
        # Channel by channel: the largest thing alive is (N, M, H, W).
        for channel in range(self.means.shape[2]):
            x = images[:, channel].unsqueeze(1)
            first, last = x < -0.999, x > 0.999
            inverse = (-self.log_scales[:, :, channel]).exp()
            centred = x - self._location(channel, seen)
            upper = softplus(-(centred + HALF_BIN) * inverse)
            lower = softplus((centred - HALF_BIN) * inverse)
            width = (-torch.expm1(-2 * HALF_BIN * inverse)).log()
            total = total + (
                width.masked_fill(first | last, 0)
                - upper.masked_fill(last, 0)
                - lower.masked_fill(first, 0)
            )
            seen.append(x)
        return total.logsumexp(1).flatten(1).sum(1)

    def sample(self, noise: Tensor) -> Tensor:
        """Returns pictures at the 256 levels: a component by Gumbel's trick, then its channels."""
        components = self.logits.shape[1]
        uniform = away_from_ends(noise)
        gumbel = -(-uniform[:, :components].log()).log()
        chosen = (self.logits + gumbel).argmax(1, keepdim=True)
        seen: list[Tensor] = []
        for channel, u in enumerate(torch.split(uniform[:, components:], 1, 1)):
            location = self._location(channel, seen).gather(1, chosen)
            scale = self.log_scales[:, :, channel].gather(1, chosen).exp()
            seen.append(_to_levels((location + scale * u.logit()).clamp(-1, 1)))
        return torch.cat(seen, 1)


class LogisticMixtureHead(LikelihoodHead):
    """Mixture of discretised logistics: true probabilities of 8-bit values.

    Per component the head holds one weight, C means, C log scales and C (C - 1) / 2 coefficients.
    The components' means start spread over [-1, 1], so that a head of zeros is no mixture of
    equals, which gradients could never tell apart.

    Source: Salimans et al. 2017 (PixelCNN++, arXiv 1701.05517), section 2; we differ in an exact
    logarithm of the bin's mass, soft bounds of the log scale at -8 and 8, and that spread.
    """

    name = "logistic_mixture"
    discrete = True
    spread: Tensor

    def __init__(self, channels: int, mixtures: int) -> None:
        super().__init__()
        self.channels, self.mixtures = channels, mixtures
        spread = (torch.arange(mixtures) + 0.5) / mixtures * 2 - 1
        self.register_buffer("spread", spread.view(1, mixtures, 1, 1, 1), persistent=False)

    def num_channels(self, channels: int) -> int:
        """Returns ``mixtures * (1 + 2 C + C (C - 1) / 2)``: 10 a component if C is 3."""
        return self.mixtures * (1 + 2 * channels + channels * (channels - 1) // 2)

    def num_noise(self, channels: int) -> int:
        """Returns one number a component to choose with and one a channel."""
        return self.mixtures + channels

    def forward(self, head: Tensor) -> Likelihood:
        """Returns the mixtures of ``head`` ``(N, P, H, W)``."""
        c = self.channels
        parts = torch.unflatten(head.float(), 1, (self.mixtures, -1))
        logits, means, log_scales, coefficients = torch.split(parts, [1, c, c, c * (c - 1) // 2], 2)
        return _LogisticMixture(
            logits.squeeze(2),
            means + self.spread,
            softly_bounded(log_scales, -8.0, 8.0),
            coefficients.tanh(),
        )


def _to_levels(images: Tensor) -> Tensor:
    """Returns images rounded to the nearest of the 256 levels in [-1, 1]."""
    return images.add(1).mul_(127.5).round_().clamp_(0, 255).div_(127.5).sub_(1)
