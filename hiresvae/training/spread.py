"""How far made pictures differ from one another: what tells a collapse."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, one_hot

from hiresvae.devices import exact_products

SIDE = 4
"""Side to which pictures are averaged before. One picture with grain drawn anew has up to 0.15 of
the variance of real ones, at this side 0.003."""


COLLAPSED = 0.01
"""Variance of made pictures beside that of real ones, below which a batch shows one picture."""


@torch.no_grad()
def moments(pictures: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """Returns what of pictures adds up over parts of a batch and processes, for `spread`.

    Args:
        pictures: ``(N, C, H, W)``.
        labels: ``(N,)`` int64; None: all are of one.
        classes: that there are; 0 or 1 without labels.

    Returns:
        ``(max(1, classes), 2 + D)`` float32: of each label the number of pictures, the sum of their
        squares, and their sum, D = 16 C.
    """
    # What is left of the sums when the means are subtracted is small: no digit may be lost.
    with torch.autocast(pictures.device.type, enabled=False), exact_products():
        flat = adaptive_avg_pool2d(pictures.detach().float(), SIDE).flatten(1)
        rows = torch.cat([flat.new_ones(len(flat), 1), flat.square().sum(1, True), flat], dim=1)
        if labels is None:
            return rows.sum(0, keepdim=True)
        return one_hot(labels, max(1, classes)).to(rows).T @ rows


def moments_of(kinds: Iterable[tuple[Tensor, Tensor | None]], classes: int) -> tuple[Tensor, ...]:
    """Returns the `moments` of each kind of pictures with their labels, the real ones first."""
    return tuple(moments(pictures, labels, classes) for pictures, labels in kinds)


@torch.no_grad()
def spread(real: Tensor, *kinds: Tensor) -> Tensor:
    """Returns how far made pictures of each kind differ, beside real ones, ``(len(kinds),)``.

    The ratio of variances, within labels or of all, whichever is less: one picture a label is a
    collapse, and so is one picture. Each kind is told apart: together reconstructions would hide
    that all samples became one. What is coarse has a picture's own, so it is no sample here. NaN
    where the batch cannot tell: no two pictures of one label are in it, and all of them differ.

    Args:
        real: `moments` of real pictures.
        kinds: those of each kind of made ones.
    """
    sums = torch.stack([real, *kinds])
    within, known = _variance(sums)
    of_all, several = _variance(sums.sum(1, keepdim=True))
    inside = within[1:] / within[0].clamp_min(1e-8)
    whole = of_all[1:] / of_all[0].clamp_min(1e-8)
    inside = torch.where(known[1:] & known[0], inside, torch.nan)
    # Pictures that are all alike are so within labels, too; of others only those of one label tell.
    told = torch.where(whole < COLLAPSED, torch.fmin(whole, inside), torch.minimum(whole, inside))
    return torch.where(several[1:] & several[0], told, torch.nan)


def _variance(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Returns variances within groups of moments ``(..., K, 2 + D)``, and whether there is one."""
    count, squares, total = sums[..., 0], sums[..., 1], sums[..., 2:]
    within = (squares - total.square().sum(-1) / count.clamp_min(1)).sum(-1)
    freedom = (count - 1).clamp_min(0).sum(-1)
    return within / freedom.clamp_min(1), freedom > 0
