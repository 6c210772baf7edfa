"""Adversarial losses, matching of features and penalties, one value a picture ``(N,)``.

Functions of logits take ``(N, M)``; a pair (real, fake) shares its row.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

LOSSES = (
    "relativistic", "non_saturating", "minimax", "hinge", "least_squares", "mean_features",
)  # fmt: skip


def critic_loss(name: str, real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """Returns what the critic minimises ``(N,)``.

    - relativistic: ``softplus(-(r - f))``, the critic wants each real above its fake (Huang et al.
      2025, arXiv 2501.05441).
    - non_saturating, minimax, mean_features: ``softplus(-r) + softplus(f)``, the cross-entropy
      (Goodfellow et al. 2014, arXiv 1406.2661).
    - hinge: ``relu(1 - r) + relu(1 + f)`` (Lim and Ye 2017, arXiv 1705.02894).
    - least_squares: ``(r - 1)^2 / 2 + f^2 / 2`` (Mao et al. 2017, arXiv 1611.04076).

    Args:
        name: one of `LOSSES`.
        real: logits ``(N, M)`` of real pictures.
        fake: logits ``(N, M)`` of made ones.
        shares: ``(M,)``, how much each logit counts.
    """
    match name:
        case "relativistic":
            return weighed(F.softplus(fake - real), shares)
        case "non_saturating" | "minimax" | "mean_features":
            return weighed(F.softplus(-real) + F.softplus(fake), shares)
        case "hinge":
            return weighed(F.relu(1 - real) + F.relu(1 + fake), shares)
        case "least_squares":
            return weighed(0.5 * ((real - 1).square() + fake.square()), shares)
    raise ValueError(f"no critic's loss {name!r}")


def model_loss(name: str, real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """Returns what the model minimises ``(N,)``: its fakes should look more real.

    relativistic: ``softplus(-(f - r))``; non_saturating: ``softplus(-f)``; minimax:
    ``-softplus(f)``, what the critic minimises turned round, which fades where the critic is
    certain; hinge: ``-f``; least_squares: ``(f - 1)^2 / 2``. mean_features has none: that model
    never sees the logits.
    """
    match name:
        case "relativistic":
            return weighed(F.softplus(real - fake), shares)
        case "non_saturating":
            return weighed(F.softplus(-fake), shares)
        case "minimax":
            return weighed(-F.softplus(fake), shares)
        case "hinge":
            return weighed(-fake, shares)
        case "least_squares":
            return weighed(0.5 * (fake - 1).square(), shares)
    raise ValueError(f"no model's loss {name!r}")


def weighed(rows: Tensor, shares: Tensor) -> Tensor:
    """Returns the sum of ``(N, M)`` weighed by shares ``(M,)``, in float32 under autocast too."""
    return (rows * shares).sum(1)


def lecam(
    real: Tensor, fake: Tensor, real_mean: Tensor, fake_mean: Tensor, shares: Tensor
) -> Tensor:
    """Returns ``relu(r - mean f)^2 + relu(mean r - f)^2`` ``(N,)``: the critic should not go far.

    Each logit is drawn to the running mean of the other side, which keeps a critic of few pictures
    from growing ever surer.

    Args:
        real: logits ``(N, M)``.
        fake: logits ``(N, M)``.
        real_mean: running mean of real logits, a number.
        fake_mean: the same of fakes.
        shares: ``(M,)``, how much each logit counts.

    Source: Tseng et al. 2021 (arXiv 2104.03310), with the relu of their code.
    """
    over, under = F.relu(real - fake_mean), F.relu(real_mean - fake)
    return weighed(over.square() + under.square(), shares)


def feature_distance(
    features: dict[int, Tensor],
    targets: dict[int, Tensor],
    kind: Literal["l1", "squared"] = "l1",
) -> Tensor:
    """Returns the distance of features, averaged over each layer and over layers ``(N,)``.

    l1: ``|a - b|`` (Wang et al. 2018, pix2pixHD, arXiv 1711.11585); squared: ``(a - b)^2 / 2``,
    which is a Gaussian of unit scale (Larsen et al. 2016, arXiv 1512.09300, of one layer). The
    targets are constants.
    """
    layers = []
    for side in features:
        off = features[side].float() - targets[side].detach().float()
        each = off.abs() if kind == "l1" else 0.5 * off.square()
        layers.append(each.flatten(1).mean(1))
    return torch.stack(layers).mean(0)


def mean_distance(features: Tensor, gap: Tensor) -> Tensor:
    """Returns half the mean square of a gap between two means, ``(N,)``, felt by each row.

    The value is ``mean_e(gap_e^2) / 2``; the gradient at a row's features is ``gap / E``, that of
    the value as if the row were the whole mean. So the batch's average over rows pushes the mean of
    all of them by ``gap / E``, however it is split over processes.

    Args:
        features: of made pictures ``(N, E)``.
        gap: mean of made minus mean of real pictures ``(N, E)`` or ``(1, E)``; a constant.
    """
    gap = gap.detach()
    felt = (features.float() - features.detach().float()) * gap
    return felt.mean(1) + 0.5 * gap.square().mean(1)


def gradient_penalty(logits: Tensor, images: Tensor, shares: Tensor) -> Tensor:
    """Returns half the squared gradient of the logits at the images, ``(N,)``, summed over pixels.

    ``|d D(x) / dx|^2 / 2``, R1 on real pictures and R2 on fakes (Mescheder et al. 2018,
    arXiv 1801.04406); differentiable, in float32. Logits enter by the root of their shares, so
    that many small patches are held as smooth as if each were a picture of its own.
    """
    total = (logits @ shares.sqrt()).sum()
    (gradient,) = torch.autograd.grad(total, images, create_graph=True)
    return 0.5 * gradient.float().square().flatten(1).sum(1)
