"""What every likelihood promises: p(x | z) of a batch, and the module that makes it.

A `LikelihoodHead` is a module (it may own a scale); called on the head ``(N, P, H, W)`` it gives
the `Likelihood` of that batch. Everything runs in float32: heads are widened on entry and only
elementwise operations follow, which autocast leaves alone.
"""

import math
from abc import ABC, abstractmethod

from torch import Tensor, nn

from hiresvae.errors import UserError


class Likelihood(ABC):
    """p(x | z) of one batch of pictures ``(N, C, H, W)``.

    Attributes:
        mean: expected pictures ``(N, C, H, W)`` on the scale of [-1, 1], differentiable.
    """

    mean: Tensor

    @abstractmethod
    def log_prob(self, images: Tensor) -> Tensor:
        """Returns ln p(x | z) in nats ``(N,)`` of images ``(N, C, H, W)`` in [-1, 1]."""

    @abstractmethod
    def sample(self, noise: Tensor) -> Tensor:
        """Returns pictures ``(N, C, H, W)`` drawn with uniform noise ``(N, num_noise, H, W)``.

        Args:
            noise: numbers in [0, 1) with as many channels as the head's `num_noise` says.
        """

    def error(self, images: Tensor) -> Tensor:
        """Returns the mean error per dimension ``(N,)`` of the means: squared unless told."""
        return (images.float() - self.mean).square().flatten(1).mean(1)


class LikelihoodHead(nn.Module, ABC):
    """What turns the decoder's last feature map into a `Likelihood`.

    Attributes:
        name: as in the settings.
        discrete: whether log_prob is the log of a probability; only then do bits/dim mean anything.
    """

    name: str
    discrete: bool

    @abstractmethod
    def num_channels(self, channels: int) -> int:
        """Returns P, the head channels needed for pictures with so many channels."""

    def num_noise(self, channels: int) -> int:
        """Returns how many uniform numbers per pixel `Likelihood.sample` needs."""
        return channels

    @abstractmethod
    def forward(self, head: Tensor) -> Likelihood:
        """Returns the likelihood whose parameters are ``head`` ``(N, P, H, W)``."""

    def observe(self, mean_error: Tensor) -> None:
        """Takes in the mean of `Likelihood.error` over the global batch; once a step.

        Does nothing unless the scale follows the error.
        """

    def require_discrete(self) -> None:
        """Raises UserError where bits per dimension would be meaningless."""
        if not self.discrete:
            raise UserError(
                f"bits per dimension need a discrete likelihood, but model.likelihood is "
                f"{self.name!r}, a density; the nearest valid is 'logistic_mixture'"
            )

    def bits_per_dim(self, elbo: Tensor, dims: int) -> Tensor:
        """Returns ``-elbo / (dims ln 2)``.

        Args:
            elbo: nats per picture ``(N,)``; higher is better.
            dims: C * H * W.

        Raises:
            UserError: the likelihood is a density.
        """
        self.require_discrete()
        return -elbo / (dims * math.log(2))


def away_from_ends(noise: Tensor) -> Tensor:
    """Returns uniform noise in float32 away from 0 and 1, where the quantiles are infinite."""
    return noise.float().clamp(1e-5, 1 - 1e-5)
