"""The main directions of a model's latents: those along which its pictures change the most."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from hiresvae.generator import PictureModel
from hiresvae.images import to_float
from hiresvae.priors import Density
from hiresvae.uses.codes import Codes, decode, drawn

LEADING = 128
"""Principal axes of the prior that are looked at, unless told."""
COARSE = 16
"""Side to which changes are averaged: composition and colour count, strokes do not."""


@dataclass(frozen=True)
class Axes:
    """Directions of the top rungs.

    Attributes:
        steps: ``(K, D)``: one standard deviation of the prior along each, the strongest first.
        shares: ``(K,)``: of all change of pictures, 0 to 1.
        middle: the picture from which change was judged.
    """

    steps: Tensor
    shares: Tensor
    middle: Codes

    def apply(self, codes: Codes, amounts: Tensor) -> Codes:
        """Returns the codes moved by so many standard deviations ``(k,)`` of the first k axes."""
        return codes.moved(amounts.to(self.steps) @ self.steps[: len(amounts)])


def spread(prior: Density) -> Tensor:
    """Returns the covariance ``(D, D)`` of a density in float64.

    With a component a class it is the mean within classes: which class is asked for apart.
    """
    shares = prior.log_weights.double().softmax(0)
    tril, means = prior.scale_tril.double(), prior.means.double()
    each = (tril @ tril.mT).expand(len(shares), -1, -1)
    within = (shares[:, None, None] * each).sum(0)
    if prior.kind == "classes":
        return within
    off = means - shares @ means
    return within + off.T @ (shares[:, None] * off)


@torch.inference_mode()
def principal(painter: PictureModel, count: int = 8, leading: int = LEADING) -> Axes:
    """Returns the directions along which pictures change most, a prior's deviation at a time.

    The principal axes of the prior, turned among each other: the left singular vectors of how the
    picture in the middle changes, linearly, with one deviation along each. Variance of latents
    alone would not do: one that the decoder ignores has as much of it as any other.

    Args:
        painter: the model.
        count: how many, at most as many as the prior has numbers.
        leading: principal axes of the prior that are looked at; each costs one picture.

    Source: Ramesh et al. 2018 (A Spectral Regularizer, arXiv 1812.01161), section 3, for singular
    vectors of the generator's Jacobian; Harkonen et al. 2020 (GANSpace, arXiv 2004.02546) for
    principal axes.
    """
    frequent = None
    if painter.conditional:
        frequent = painter.classes[max(range(len(painter.shares)), key=painter.shares.__getitem__)]
    middle = drawn(painter, 0, temperature=0.0, label=frequent)
    variances, vectors = torch.linalg.eigh(spread(painter.prior))
    leading = min(leading, len(variances))
    ways = (vectors * variances.clamp_min(0).sqrt()).T.flip(0)[:leading]
    beside = middle[[0] * leading].moved(ways.float().to(painter.device))
    pictures = to_float(decode(painter, beside))
    change = pictures - to_float(decode(painter, middle))
    side = min(COARSE, change.shape[-1])
    coarse = adaptive_avg_pool2d(change, side).flatten(1).double()
    left, strengths, right = torch.linalg.svd(coarse, full_matrices=False)
    # More of it is brighter; without this the sign would be the library's whim.
    signs = torch.where(right.sum(1) < 0, -1.0, 1.0).double()
    steps = (left * signs).T @ ways
    power = strengths.square()
    shares = power / power.sum().clamp_min(1e-12)
    return Axes(steps[:count].float().to(painter.device), shares[:count].float(), middle)


def ends(painter: PictureModel, axes: Axes, reach: float = 2.0) -> Tensor:
    """Returns the middle moved down and up along each axis, uint8 ``(K, 2, C, S, S)``."""
    amounts = reach * torch.eye(len(axes.steps))
    parts = [axes.apply(axes.middle, sign * row) for row in amounts for sign in (-1.0, 1.0)]
    return decode(painter, Codes.joined(parts)).unflatten(0, (len(amounts), 2))
