"""From one picture to another through the latent space."""

import math
from typing import Literal

import torch
from torch import Tensor

from hiresvae.generator import PictureModel
from hiresvae.uses.codes import Codes, decode

Way = Literal["linear", "spherical"]


def lerp(a: Tensor, b: Tensor, shares: Tensor) -> Tensor:
    """Returns ``(T, D)``: the straight line from ``a`` to ``b``, both ``(D,)``.

    Args:
        a: where share 0 is.
        b: where share 1 is.
        shares: ``(T,)``.
    """
    # Not a + t (b - a), which need not end in b exactly.
    return (1 - shares)[:, None] * a + shares[:, None] * b


def slerp(a: Tensor, b: Tensor, shares: Tensor) -> Tensor:
    """Returns ``(T, D)``: the arc from ``a`` to ``b``, both ``(D,)``; the length goes straight.

    ``sin((1 - t) w) / sin w * a + sin(t w) / sin w * b`` for directions at an angle w. Vectors that
    are parallel, opposite or zero are joined by the straight line.

    Args:
        a: where share 0 is.
        b: where share 1 is.
        shares: ``(T,)``.

    Source: Shoemake 1985; White 2016 (arXiv 1609.04468) for latents.
    """
    lengths = a.norm(), b.norm()
    if min(lengths) < 1e-9:
        return lerp(a, b, shares)
    first, last = a / lengths[0], b / lengths[1]
    angle = torch.acos((first @ last).clamp(-1, 1))
    if angle < 1e-3 or angle > math.pi - 1e-3:
        return lerp(a, b, shares)
    weights = torch.sin((1 - shares) * angle), torch.sin(shares * angle)
    directions = (weights[0][:, None] * first + weights[1][:, None] * last) / angle.sin()
    return directions * torch.lerp(lengths[0], lengths[1], shares)[:, None]


def between(
    painter: PictureModel,
    keys: Codes,
    steps: int,
    *,
    way: Way = "spherical",
    rung: int | None = None,
) -> list[Codes]:
    """Returns the codes on the way from each key to the next, both ends included: one a leg.

    The arcs of the top rungs go round the middle of the fitted prior, those below round their
    priors' means. Grain always goes along an arc: on a straight line it would fade on the way.

    Args:
        painter: the model.
        keys: two or more codes.
        steps: pictures in a leg, at least 2.
        way: along a straight line or an arc.
        rung: the only rung that moves, counted from the top; the others, and the grain, stay those
            of the first key. None moves all, and the labels.
    """
    move = lerp if way == "linear" else slerp
    middles = painter.model.top_parts(painter.prior.center(1).to(painter.device))
    shares = torch.linspace(0, 1, steps, device=painter.device)
    legs = []
    for a, b in zip(range(len(keys) - 1), range(1, len(keys)), strict=True):
        latents = []
        for number, z in enumerate(keys.latents):
            known = number < len(middles)
            centre = middles[number].flatten() if known else torch.zeros_like(z[0]).flatten()
            ends = z[a].flatten(), z[b].flatten()
            if rung is not None and rung != number:
                ends = z[0].flatten(), z[0].flatten()
            path = centre + move(ends[0] - centre, ends[1] - centre, shares)
            path[0], path[-1] = ends  # the ends to the last bit, whatever the centre
            latents.append(path.view(steps, *z.shape[1:]))
        labels = keys.labels
        if labels is not None:
            moving = rung is None or rung == 0
            labels = lerp(labels[a if moving else 0], labels[b if moving else 0], shares)
        ends_of_grain = (a, b) if rung is None else (0, 0)
        grain = {name: _moved(noise, *ends_of_grain, shares) for name, noise in keys.grain.items()}
        legs.append(Codes(latents, labels, grain))
    return legs


def _moved(noise: Tensor, a: int, b: int, shares: Tensor) -> Tensor:
    """Returns noise ``(T, 1, side, side)`` on the arc from row a to row b, ends to the last bit."""
    path = slerp(noise[a].flatten(), noise[b].flatten(), shares)
    path[0], path[-1] = noise[a].flatten(), noise[b].flatten()
    return path.view(len(shares), *noise.shape[1:])


def interpolate(
    painter: PictureModel,
    keys: Codes,
    steps: int = 9,
    *,
    way: Way = "spherical",
    rung: int | None = None,
) -> Tensor:
    """Returns the pictures from each key to the next, uint8 ``(legs, steps, C, S, S)``.

    Example:
        >>> keys = encode(model, pictures[:3])  # doctest: +SKIP
        >>> interpolate(model, keys, steps=5).shape  # doctest: +SKIP
        torch.Size([2, 5, 3, 64, 64])
    """
    legs = between(painter, keys, steps, way=way, rung=rung)
    return decode(painter, Codes.joined(legs)).unflatten(0, (len(legs), steps))
