"""A Gaussian that follows the aggregate posterior of the top rungs during training.

So a critic can be shown pictures from where samples will be drawn, before a density is fitted to
the latents of all pictures (`hiresvae.priors.fit`).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from hiresvae.devices import exact_products
from hiresvae.priors import RIDGE

MOST_NUMBERS = 1 << 22  # in the covariances of all classes; beyond, they share one
ROUNDED = 1e-5  # of a second moment: what is left of it in float32 where nothing varies


class RunningGaussian(nn.Module):
    """A Gaussian that follows the aggregate posterior during training; one for each class if K > 1.

    Keeps sums of z, z z^T and counts that fade with a half-life in images. Their ratios need no
    bias correction. A class with few latents leans on the covariance of all. All state is in
    buffers; nothing synchronises with the device.

    Args:
        dim: D.
        half_life: images after which an observation counts half.
        num_classes: K; above `MOST_NUMBERS` in all they share one covariance.
        refresh: observations between new square roots of the covariances.
    """

    num_observed: Tensor
    z_sum: Tensor
    outer_sum: Tensor
    count: Tensor
    means: Tensor
    scale_tril: Tensor

    def __init__(
        self, dim: int, half_life: float, *, num_classes: int = 1, refresh: int = 8
    ) -> None:
        super().__init__()
        self.half_life, self.refresh, self._observed = half_life, refresh, 0
        self.register_buffer("num_observed", torch.zeros((), dtype=torch.int64))
        self.register_buffer("z_sum", torch.zeros(num_classes, dim))
        covariances = num_classes if num_classes * dim**2 <= MOST_NUMBERS else 1
        self.register_buffer("outer_sum", torch.zeros(covariances, dim, dim))
        self.register_buffer("count", torch.zeros(num_classes))
        self.register_buffer("means", torch.zeros(num_classes, dim))
        self.register_buffer("scale_tril", torch.eye(dim).repeat(covariances, 1, 1))
        self.register_load_state_dict_pre_hook(_each_its_own)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_read_clock)  # type: ignore[no-untyped-call]

    def sums(self, z: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Returns what `observe` takes, of these latents; add the sums of all processes up.

        Args:
            z: latents ``(N, D)``.
            labels: int64 ``(N,)``; needed if K > 1.

        Returns:
            Sum of z ``(K, D)``, sums of z z^T ``(K or 1, D, D)``, number of latents ``(K,)``.
        """
        z = z.detach().float()
        if labels is None:
            labels = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        members = one_hot(labels, len(self.count)).float()
        # What is left of the sums when the means are subtracted is small: no digit may be lost.
        with torch.autocast(z.device.type, enabled=False), exact_products():
            weights = members if len(self.outer_sum) > 1 else torch.ones_like(members[:, :1])
            outer = (weights.T[:, :, None] * z).mT @ z
            return members.T @ z, outer, members.sum(0)

    @torch.no_grad()
    def observe(self, z_sum: Tensor, outer_sum: Tensor, count: Tensor, images: int) -> None:
        """Takes in one step's global `sums`; sums that are not finite change nothing.

        Args:
            z_sum: ``(K, D)``.
            outer_sum: ``(K or 1, D, D)``.
            count: ``(K,)``.
            images: pictures in the step, over all processes.
        """
        # No product of two numbers is larger than the larger of their squares.
        squares = outer_sum.diagonal(dim1=1, dim2=2)
        usable = torch.isfinite(z_sum).all() & torch.isfinite(squares).all()
        fade = torch.where(usable, 0.5 ** (images / self.half_life), 1.0)
        for total, new in ((self.z_sum, z_sum), (self.outer_sum, outer_sum), (self.count, count)):
            total.mul_(fade).add_(torch.where(usable, new, 0.0))
        if self._observed % self.refresh == 0:
            self._refresh()
        self._observed += 1
        self.num_observed += 1

    def _refresh(self) -> None:
        """Works out means and the square roots of the covariances from the sums."""
        total = self.count.sum().clamp_min(1e-9)
        overall = self.z_sum.sum(0) / total
        # One picture's worth of the overall mean: for classes not seen yet.
        self.means.copy_((self.z_sum + overall) / (self.count[:, None] + 1))
        own = self.z_sum / self.count.clamp_min(1e-9)[:, None]
        with torch.autocast(self.z_sum.device.type, enabled=False), exact_products():
            moments = self.outer_sum.sum(0)
            pooled = (moments - self.z_sum.T @ own) / total
        variance = pooled.diagonal().clamp_min(0) + RIDGE
        # As many latents as numbers in one: half diagonal. The more latents, the less.
        dim = len(variance)
        shrinkage = (dim / (dim + total)).clamp_min(0.01)
        covariance = torch.lerp(pooled, variance.diag(), shrinkage)[None]
        if len(self.outer_sum) > 1:
            # Likewise a class: as many latents as numbers in one, half its own.
            # In place: with many classes these are the largest tensors of a small model's step.
            count = self.count[:, None, None]
            scatter = (self.z_sum[:, :, None] * own[:, None]).neg_().add_(self.outer_sum)
            each = scatter.div_(count.clamp_min(1e-9))
            covariance = each.lerp_(covariance, dim / (dim + count))
        # A difference of large sums has no root where next to nothing varies.
        least = moments.diagonal() / total * ROUNDED + RIDGE
        varied = covariance.diagonal(dim1=1, dim2=2)
        varied.copy_(torch.maximum(varied, least))
        # The _ex variant reports failure on the device; the last good root then stays.
        root, failed = torch.linalg.cholesky_ex(covariance)
        usable = (failed == 0) & (self.count.sum() > 0)
        self.scale_tril.copy_(torch.where(usable[:, None, None], root, self.scale_tril))

    def sample(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Returns latents ``(n, D)`` made of standard normal noise ``(n, D)``.

        Args:
            noise: passed through unchanged before the first observation.
            labels: int64 ``(n,)``; needed if K > 1.
        """
        mean = self.means[0] if labels is None else self.means[labels]
        with torch.autocast(noise.device.type, enabled=False):
            spread = noise.float() @ self.scale_tril.mT
        if labels is None or len(spread) == 1:
            return mean + spread[0]
        return mean + spread[labels, torch.arange(len(noise), device=labels.device)]


def _each_its_own(
    module: RunningGaussian, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Before loading, a state of version 0.1, whose classes share one covariance, is that of each.

    Sums are parted such that each class has the covariance within classes, and all have the sum.
    """
    names = [prefix + name for name in ("outer_sum", "scale_tril", "z_sum", "count")]
    if any(name not in state for name in names) or state[names[0]].ndim != 2:
        return
    outer, root, z_sum, count = (state[name] for name in names)
    own = z_sum / count.clamp_min(1e-9)[:, None]
    if len(module.outer_sum) == len(count) > 1:
        within = (outer - z_sum.T @ own) / count.sum().clamp_min(1e-9)
        outer = count[:, None, None] * within + z_sum[:, :, None] * own[:, None]
    state[names[0]] = outer.expand_as(module.outer_sum)
    state[names[1]] = root.expand_as(module.scale_tril)


def _read_clock(module: RunningGaussian, _: object) -> None:
    """After loading, the count that decides on refreshing is that of the saved state."""
    module._observed = int(module.num_observed)
