"""Adversarial losses, feature matching and gradient penalties, one value a picture ``(N,)``.

Every function takes logits ``(N, M)``; a pair (real, fake) shares its row.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LOSSES = ("relativistic", "non_saturating")


def critic_loss(name: str, real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """Returns what the critic minimises ``(N,)``.

    relativistic: ``softplus(-(r - f))``, the critic wants each real above its fake (Huang et al.
    2025, arXiv 2501.05441); non_saturating: ``softplus(-r) + softplus(f)``
    (Goodfellow et al. 2014, arXiv 1406.2661).

    Args:
        name: one of `LOSSES`.
        real: logits ``(N, M)`` of real pictures.
        fake: logits ``(N, M)`` of made ones.
        shares: ``(M,)``, how much each logit counts.
    """
    if name == "relativistic":
        return F.softplus(fake - real) @ shares
    return (F.softplus(-real) + F.softplus(fake)) @ shares


def model_loss(name: str, real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """Returns what the model minimises ``(N,)``: its fakes should look more real.

    relativistic: ``softplus(-(f - r))``; non_saturating: ``softplus(-f)``.
    """
    if name == "relativistic":
        return F.softplus(real - fake) @ shares
    return F.softplus(-fake) @ shares


def feature_distance(features: dict[int, Tensor], targets: dict[int, Tensor]) -> Tensor:
    """Returns the L1 distance of features, averaged over each layer and over layers ``(N,)``.

    The targets are constants. Source: Wang et al. 2018 (pix2pixHD, arXiv 1711.11585); Larsen et al.
    2016 (arXiv 1512.09300) match one layer with squares.
    """
    layers = [
        (features[side].float() - targets[side].detach().float()).abs().flatten(1).mean(1)
        for side in features
    ]
    return torch.stack(layers).mean(0)


def gradient_penalty(logits: Tensor, images: Tensor, shares: Tensor) -> Tensor:
    """Returns half the squared gradient of the logits at the images, ``(N,)``, summed over pixels.

    ``|d D(x) / dx|^2 / 2``, R1 on real pictures and R2 on fakes (Mescheder et al. 2018,
    arXiv 1801.04406); differentiable, in float32. Logits enter by the root of their shares, so
    that many small patches are held as smooth as if each were a picture of its own.
    """
    total = (logits @ shares.sqrt()).sum()
    (gradient,) = torch.autograd.grad(total, images, create_graph=True)
    return 0.5 * gradient.float().square().flatten(1).sum(1)
