"""Features of pictures that need no weights: energies of random filters on a Laplacian pyramid.

For choosing between snapshots of one run where no feature network is at hand. They see colour,
layout and, scale by scale, how much texture there is and of what direction: what separates blurred
from sharp samples. They know nothing of objects, and distances in them are no FID or KID.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from hiresvae.metrics.chunks import by_chunk
from hiresvae.metrics.sharpness import CHUNK
from hiresvae.seeding import generator

FILTERS = 24
TAPS = 5
SMALLEST = 8
"""Sides below this are no level: what is left is taken as it is, at 4 x 4."""


def texture_features(pictures: Tensor) -> Tensor:
    """Returns features ``(N, D)`` of uint8 pictures ``(N, C, H, W)``.

    For each level of a Laplacian pyramid (Burt and Adelson 1983) and each of 24 fixed random
    filters over 5 x 5 pixels and the colours: the root of the mean absolute response in each
    quarter of the picture, and of the root mean square over all of it; then what remains of the
    picture at 4 x 4. Random filters with a rectifier and pooling stand in for a trained network's
    first layers (Jarrett et al. 2009; sliced distances of patches: Karras et al. 2018,
    arXiv 1710.10196, section 5).

    Raises:
        TypeError: the pictures are not uint8.
    """
    if pictures.dtype != torch.uint8:
        raise TypeError(f"pictures must be uint8 (0 to 255), got {pictures.dtype}")
    bank = torch.randn(FILTERS, 3, TAPS, TAPS, generator=generator(0, "texture features"))
    bank = bank - bank.mean((2, 3), keepdim=True)
    bank = (bank / bank.flatten(1).norm(dim=1)[:, None, None, None]).to(pictures.device)

    def of(part: Tensor) -> Tensor:
        return _of(part.expand(-1, 3, -1, -1).float() / 255, bank)

    return torch.from_numpy(by_chunk(of, pictures, size=CHUNK))


def _of(images: Tensor, bank: Tensor) -> Tensor:
    features = []
    while min(images.shape[-2:]) >= SMALLEST:
        half = [side // 2 for side in images.shape[-2:]]
        small = _resize(images, half)
        detail = images - _resize(small, list(images.shape[-2:]))
        response = F.conv2d(detail, bank)
        features.append(F.adaptive_avg_pool2d(response.abs(), 2).sqrt().flatten(1))
        features.append(response.square().mean((2, 3)).sqrt().sqrt())
        images = small
    features.append(_resize(images, [4, 4]).flatten(1))
    return torch.cat(features, 1)


def _resize(images: Tensor, side: list[int]) -> Tensor:
    return F.interpolate(images, side, mode="bilinear", align_corners=False, antialias=True)


def standardised(features: Tensor, reference: Tensor) -> Tensor:
    """Returns features in units of the reference's spread about its mean, all of one weight.

    Args:
        features: ``(N, D)``.
        reference: ``(M, D)`` of real pictures.
    """
    spread = reference.std(0, correction=0)
    # A feature that never varies among real pictures still may not blow up.
    return (features - reference.mean(0)) / spread.clamp_min(0.05 * spread.mean() + 1e-6)
