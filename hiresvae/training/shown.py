"""What a step shows the model of some rows of its batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hiresvae.data.batches import Batches
from hiresvae.images import binarized
from hiresvae.seeding import Noise
from hiresvae.settings import Settings
from hiresvae.training.corruption import seen_in_training


@dataclass(frozen=True)
class Shown:
    """Rows of a batch: a function of seed, step and rows alone, the same whenever it is asked for.

    Attributes:
        images: ``(N, C, H, W)`` in [-1, 1].
        seen: what the encoder sees of them, the same shape.
        labels: int64 ``(N,)``; None where the model takes none.
    """

    images: Tensor
    seen: Tensor
    labels: Tensor | None


def shown(settings: Settings, batches: Batches, noise: Noise, labelled: bool) -> Shown:
    """Returns the rows of the step and the shard that the noise belongs to.

    Args:
        settings: of the run.
        batches: the order of pictures.
        noise: numbers of the step for these rows.
        labelled: whether the model takes labels.
    """
    first = noise.step * noise.shard.total + noise.shard.start
    images, labels = batches.batch(first, noise.shard.size)
    images = images.contiguous(memory_format=torch.channels_last)
    if settings.data.binarize:
        images = binarized(images, noise.uniform("binarize", *images.shape[1:]))
    seen = seen_in_training(settings.corruption, images, noise.normal, batches, first)
    return Shown(images, seen, labels if labelled else None)
