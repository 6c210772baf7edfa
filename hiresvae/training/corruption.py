"""Corrupted pictures for the encoder: a model that sees them learns to make the clean ones.

The likelihood and the critic see the clean picture alone (Vincent et al. 2010, Stacked Denoising
Autoencoders, JMLR 11; with latents Im et al. 2017, arXiv 1511.06406). What is random depends on the
seed, the step and the row in the batch of all processes, or for a picture outside of training on
the seed and its number, as everything here.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from hiresvae.autoencoding import CorruptionSettings
from hiresvae.data.batches import Batches
from hiresvae.images import to_float, to_uint8
from hiresvae.models.contract import NormalNoise
from hiresvae.seeding import picture_noise

BLANK = 0.0
"""What masking leaves: the middle grey, since black and white say something in many pictures."""


def corrupt(images: Tensor, settings: CorruptionSettings, noise: NormalNoise) -> Tensor:
    """Returns the pictures corrupted, ``(N, C, H, W)`` in [-1, 1].

    - gaussian: ``x + sigma * noise``, clipped as a file of 8 bits would be;
    - salt_and_pepper: half of the share of pixels black, half of it white, in all channels;
    - masking: the share of squares of a grid blank.

    Args:
        images: ``(N, C, H, W)`` in [-1, 1].
        settings: of any kind but pairs, which nothing here could make.
        noise: standard normal numbers by stream.

    Raises:
        ValueError: the kind is pairs.
    """
    channels, height, width = images.shape[1:]
    if settings.kind == "gaussian":
        numbers = noise("corruption", channels, height, width)
        return (images + settings.sigma * numbers).clamp(-1, 1)
    if settings.kind == "salt_and_pepper":
        place = torch.special.ndtr(noise("corruption", 1, height, width))
        half = settings.share / 2
        return torch.where(place < half, -1.0, torch.where(place > 1 - half, 1.0, images))
    if settings.kind == "masking":
        side = settings.blocks
        cells = -(-height // side), -(-width // side)
        place = torch.special.ndtr(noise("corruption", 1, *cells))
        blank = interpolate((place < settings.share).float(), scale_factor=side)
        return torch.where(blank[..., :height, :width] > 0, BLANK, images)
    raise ValueError("pairs are read, not made")


def seen_in_training(
    settings: CorruptionSettings | None,
    images: Tensor,
    noise: NormalNoise,
    batches: Batches,
    start: int,
) -> Tensor:
    """Returns what the encoder sees of a training batch, ``(N, C, H, W)`` in [-1, 1].

    Args:
        settings: the section ``corruption``; None: the pictures themselves.
        images: the batch, ``(N, C, H, W)`` in [-1, 1].
        noise: numbers of the step for these rows.
        batches: where the pictures come from.
        start: position of the first in the stream.
    """
    if settings is None:
        return images
    if settings.kind == "pairs":
        seen = batches.inputs(start, len(images))
        assert seen is not None, "the data was opened with corruption.inputs"
    else:
        seen = corrupt(images, settings, noise)
    return seen.contiguous(memory_format=torch.channels_last)


def damaged(
    pictures: Tensor, settings: CorruptionSettings, numbers: Sequence[int], seed: int
) -> Tensor:
    """Returns pictures as a person would have them to restore, uint8 ``(N, C, H, W)``.

    Args:
        pictures: uint8 ``(N, C, H, W)``.
        settings: of any kind but pairs.
        numbers: of the pictures; each decides its noise with the seed.
        seed: of the noise.
    """
    noise = picture_noise(seed, list(numbers), pictures.device)
    return to_uint8(corrupt(to_float(pictures), settings, noise))


def as_seen(
    settings: CorruptionSettings | None,
    batches: Batches,
    indices: np.ndarray,
    seed: int,
) -> Tensor:
    """Returns pictures of the data as the encoder sees them, uint8 ``(n, C, S, S)``.

    The same each time: to be shown, measured, or fitted to.
    """
    if settings is None or settings.kind == "pairs":
        return batches.pictures(indices, inputs=settings is not None)
    return damaged(batches.pictures(indices), settings, np.asarray(indices).tolist(), seed)
